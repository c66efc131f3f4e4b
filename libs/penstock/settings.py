"""Settings: environment variables with the prefix PENSTOCK_, each with a default that runs the local stack."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from penstock.local_ports import OFFSETS

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state"
KEPT_FILE = "stack.json"  # in the state folder: what a local stack runs with (stack/kept.py)
KEPT = ("port_base", "auth", "idp")


def shipped_contracts() -> Path:
    """The contracts of this release: the checkout's, else the copy inside the installed package."""
    checkout = ROOT / "contracts"
    return checkout if checkout.is_dir() else Path(__file__).parent / "_contracts"


def kept(state: Path) -> dict[str, Any]:
    """What the stack of this state folder runs with; nothing where there is no such file, or it is not readable."""
    try:
        found = json.loads((state / KEPT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: found[name] for name in KEPT if name in found}


class OfState(PydanticBaseSettingsSource):
    """What the stack of this state folder runs with, where nothing else says it: commands in other shells find it."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the file is read as a whole."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The values."""
        found = kept(Path(self.current_state.get("state", STATE)).expanduser())
        return {name: value for name, value in found.items() if name in self.settings_cls.model_fields}


class Settings(BaseSettings):
    """What every process reads at start. Secrets are named by file, never given here."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", env_file=".env", extra="ignore")

    state: Path = Field(STATE, description="data, logs, secrets and pid records of the local stack")
    port_base: int = Field(7400, ge=1024, le=65000, description="first port of the local stack")
    contracts: Path | None = Field(None, description="contracts folder; default: the checkout's or the package's")
    log_level: str = Field("info", description="debug, info, warning or error")
    host: str = Field("127.0.0.1", description="address on which this process listens for HTTP")
    port: int | None = Field(None, description="HTTP port of this process; default: from port_base")
    instance: int = Field(0, ge=0, le=9, description="number of this replica on this machine")

    check_seconds: float = Field(
        20.0, ge=0.05, le=60, description="between two checks of what a process relies on: indices, tables, streams"
    )

    traces: bool = Field(False, description="`on`: spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names")
    traces_ratio: float = Field(0.01, ge=0, le=1, description="of the requests traced that come without a traceparent")
    traces_events: int = Field(100, ge=0, le=100_000, description="most events traced by one process in a second")
    traces_errors: int = Field(
        10, ge=0, le=10_000, description="most failures recorded in a second that were not sampled"
    )

    nats_url: str = Field("", description="default: the local stack's server")
    nats_ca_file: Path | None = Field(
        None, description="authorities of the certificate of a tls:// server; default: the system's"
    )
    credentials: Path | None = Field(None, description="folder with <identity>.nk; default: <state>/credentials")
    secrets_folder: Path | None = Field(None, description="folder with passwords; default: <state>/secrets")
    auth: Literal["nkeys", "callout"] = Field(
        "callout", description="how identities of identities.yaml with `clients` connect: OIDC token, or nkey"
    )
    issuers_file: Path | None = Field(None, description="the OIDC issuers believed; default: <state>/issuers.yaml")
    token_url: str = Field("", description="where this process gets its token; default: as issuers.yaml says")
    token_scope: str = Field("", description="scope asked for at the token endpoint")
    token_client: str = Field("", description="client id; default: the first of the identity's `clients`")
    token_secret_file: Path | None = Field(None, description="client secret; default: <state>/secrets/oidc/<client>")
    token_file: Path | None = Field(None, description="a token kept fresh by others, e.g. Kubernetes; no token_url")

    keys_file: Path | None = Field(None, description="hashes of HTTP bearer keys; default: <state>/secrets/keys.json")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In the order in which they count."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings, OfState(settings_cls)

    def local_port(self, name: str, instance: int = 0) -> int:
        """The port of a part of the local stack (local_ports.py), for its `instance`-th replica."""
        return self.port_base + OFFSETS[name] + instance

    @property
    def nats(self) -> str:
        """URL of the NATS server."""
        return self.nats_url or f"nats://127.0.0.1:{self.local_port('nats')}"

    @property
    def issuers(self) -> Path:
        """The file with the OIDC issuers that are believed."""
        return self.issuers_file or self.state / "issuers.yaml"

    @property
    def oidc(self) -> bool:
        """Whether tokens are taken: there is a file of issuers."""
        return self.issuers_file is not None or self.issuers.exists()

    @property
    def local_issuer(self) -> str:
        """URL, and name, of the local stack's own OIDC issuer."""
        return f"http://127.0.0.1:{self.local_port('issuer')}"

    @property
    def credentials_folder(self) -> Path:
        """Where the nkey seeds of the identities are."""
        return self.credentials or self.state / "credentials"

    @property
    def secrets(self) -> Path:
        """Where generated passwords and key hashes are."""
        return self.secrets_folder or self.state / "secrets"

    @property
    def keys(self) -> Path:
        """The file with the hashes of HTTP bearer keys."""
        return self.keys_file or self.secrets / "keys.json"


@cache
def load_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
