"""Settings: environment variables with the prefix PENSTOCK_, each with a default that runs the local stack."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[2]

# Offsets from port_base, so that one number moves a whole stack and two checkouts run side by side.
PORTS = {
    "nats": 0,
    "nats_monitor": 1,
    "elasticsearch": 2,
    "elasticsearch_transport": 3,
    "cassandra": 4,
    "cassandra_storage": 5,
    "edge": 6,
    "edge_stats": 7,
    "elasticsearch_reader": 8,
    "edge_peers": 9,
    "ingress": 10,
    "indexer": 20,
    "writer": 30,
    "scorer": 40,
    "operator": 50,
    "authority": 51,
    "issuer": 55,
    "keycloak": 56,
    "keycloak_management": 57,
    "auditor": 58,
}


class Settings(BaseSettings):
    """What every process reads at start. Secrets are named by file, never given here."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_", env_file=".env", extra="ignore")

    state: Path = Field(ROOT / ".state", description="data, logs, secrets and pid records of the local stack")
    port_base: int = Field(7400, ge=1024, le=65000, description="first port of the local stack")
    contracts: Path | None = Field(None, description="contracts folder; default: the checkout's or the package's")
    data: Path = Field(ROOT.parent / "shared" / "data", description="real data for tests and benchmarks")
    log_level: str = Field("info", description="debug, info, warning or error")
    host: str = Field("127.0.0.1", description="address on which this process listens for HTTP")
    port: int | None = Field(None, description="HTTP port of this process; default: from port_base")
    instance: int = Field(0, ge=0, le=9, description="number of this replica on this machine")

    nats_url: str = Field("", description="default: the local stack's server")
    credentials: Path | None = Field(None, description="folder with <identity>.nk; default: <state>/credentials")
    auth: Literal["nkeys", "callout"] = Field(
        "callout", description="how identities of identities.yaml with `clients` connect: OIDC token, or nkey"
    )
    issuers_file: Path | None = Field(None, description="the OIDC issuers believed; default: <state>/issuers.yaml")
    token_url: str = Field("", description="where this process gets its token; default: as issuers.yaml says")
    token_scope: str = Field("", description="scope asked for at the token endpoint")
    token_client: str = Field("", description="client id; default: the first of the identity's `clients`")
    token_secret_file: Path | None = Field(None, description="client secret; default: <state>/secrets/oidc/<client>")
    token_audience: str = Field("penstock", description="audience of the tokens that the local issuer gives")
    issuer_token_seconds: int = Field(300, ge=2, le=86_400, description="life of the tokens of the local issuer")
    issuer_key_ahead: int = Field(
        150, ge=0, le=86_400, description="seconds that a new key of the local issuer is published before it signs"
    )
    token_file: Path | None = Field(None, description="a token kept fresh by others, e.g. Kubernetes; no token_url")

    elasticsearch_url: str = Field("", description="default: the local stack's node; several, separated by commas")
    elasticsearch_api_key_file: Path | None = Field(None, description="API key of the indexer, where security is on")
    elasticsearch_ca_file: Path | None = Field(None, description="certificate authority of an https URL")
    cassandra_hosts: str = Field("127.0.0.1", description="comma-separated contact points")
    cassandra_ca_file: Path | None = Field(
        None, description="certificate authority; given: the connection is encrypted"
    )
    cassandra_port: int = Field(0, description="default: the local stack's node")
    cassandra_username: str = Field("writer", description="role of the writer")
    cassandra_password_file: Path | None = Field(None, description="default: <state>/secrets/cassandra_writer")
    cassandra_keyspace: str = Field("penstock", description="keyspace of the events, timelines and scores")
    cassandra_period: Literal["day", "month", "year"] = Field(
        "month",
        description="period of a Cassandra partition; fixed once a keyspace holds rows (services/writer/periods.py)",
    )
    cassandra_consistency: Literal["ONE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"] = Field(
        "LOCAL_QUORUM", description="replicas that must have a row on disk before it is acknowledged"
    )
    seal_keys_file: Path | None = Field(
        None, description="public keys that the audit trail's seals are checked with; default: the auditor's own"
    )
    audit_seconds: float = Field(
        10.0, ge=0.1, le=60, description="of a window of publishes on the audit trail, and between its seals"
    )
    nats_log_file: Path | None = Field(
        None, description="log of a NATS server, in which the auditor finds violations of permissions"
    )
    keys_file: Path | None = Field(None, description="hashes of HTTP bearer keys; default: <state>/secrets/keys.json")

    def local_port(self, name: str, instance: int = 0) -> int:
        """The port of a part of the local stack (PORTS), for its `instance`-th replica."""
        return self.port_base + PORTS[name] + instance

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
    def elasticsearch(self) -> str:
        """URL of the Elasticsearch node."""
        return self.elasticsearch_url or f"http://127.0.0.1:{self.local_port('elasticsearch')}"

    @property
    def cassandra(self) -> int:
        """Native protocol port of Cassandra."""
        return self.cassandra_port or self.local_port("cassandra")

    @property
    def credentials_folder(self) -> Path:
        """Where the nkey seeds of the identities are."""
        return self.credentials or self.state / "credentials"

    @property
    def secrets(self) -> Path:
        """Where the local stack keeps generated passwords and key hashes."""
        return self.state / "secrets"

    @property
    def keys(self) -> Path:
        """The file with the hashes of HTTP bearer keys."""
        return self.keys_file or self.secrets / "keys.json"

    @property
    def seal_keys(self) -> Path:
        """The file with the public keys of the audit trail's seals."""
        return self.seal_keys_file or self.credentials_folder / "auditor.seal.pub"

    @property
    def cassandra_password(self) -> Path:
        """The file with the password of the writer's role."""
        return self.cassandra_password_file or self.secrets / "cassandra_writer"


@cache
def load_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
