"""Settings of the edge, on top of those of every process; prefix PENSTOCK_EDGE_."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}\Z")


class EdgeSettings(BaseSettings):
    """Where the edge finds things, and how much it lets through."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_EDGE_", env_file=".env", extra="ignore")

    ingress: str = Field("", description="host:port of each ingress, with commas; default: the local stack's first")
    ingress_slots: int = Field(
        0, ge=0, le=100, description="over 0: `ingress` is one DNS name of up to so many processes, looked up again"
    )
    certificate: Path | None = Field(None, description="PEM with certificate and key; default: <state>/tls/edge.pem")
    bearer_keys: bool = Field(True, description="pass keys of `penstock key` to the ingress; off: only OIDC tokens")
    rate: int = Field(20_000, ge=1, description="requests of one identity within `window`")
    window: int = Field(10, ge=1, le=3600, description="seconds over which requests are counted")
    open: int = Field(200, ge=1, description="requests of one identity at one time, tails included")
    refused: int = Field(
        0, ge=0, description="401s of one address within `window`, then 429; 0: no limit, for edges behind a proxy"
    )
    body: int = Field(8 * 1024 * 1024, ge=1024, le=99_999_999, description="bytes of a body")
    connections: int = Field(4000, ge=10, description="connections at one time")
    address_connections: int = Field(
        2000, ge=1, description="of them, those of one address (IPv6: of one /64); more where a proxy is in front"
    )
    handshake: int = Field(5, ge=1, le=60, description="seconds for the TLS handshake of a new connection")
    drain: int = Field(60, ge=1, description="seconds that the old process may go on after a reload")
    keys_every: float = Field(60.0, gt=0, description="seconds between two looks for new keys of the issuers")
    threads: int = Field(1, ge=1, le=32, description="threads for TLS, and as many more for the rules")
    reader: bool = Field(True, description="offer Elasticsearch to readers, where elasticsearch_url is http://")

    @field_validator("ingress")
    @classmethod
    def _addresses(cls, text: str) -> str:
        for address in text.split(",") if text else ():
            if not _ADDRESS.match(address.strip()):
                raise ValueError(f"{address!r} is not host:port")
        return text
