"""What a configuration is made of, with nothing left to look up: the input of render.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.auth.issuers import Issuer


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One RS256 key of an issuer; `file` holds it as `PEM PUBLIC KEY`."""

    issuer: str
    id: str
    file: Path


@dataclass(frozen=True, slots=True)
class Limits:
    """See settings.py."""

    rate: int
    window: int
    open: int
    refused: int
    body: int
    connections: int
    address_connections: int
    handshake: int
    drain: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Elasticsearch for readers; `credential` is the SHA-256 of the whole Authorization header, in upper case hex."""

    port: int
    credential: str
    servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One edge."""

    host: str
    port: int
    stats_port: int
    peer_port: int
    certificate: Path
    certificate_digest: str  # another certificate is another configuration, and leads to a reload
    socket: Path
    admin: Path
    proof: Path  # a map of HAProxy with one line: `edge <secret>`
    ingress: tuple[str, ...]
    slots: int
    bearer_keys: bool
    issuers: tuple[Issuer, ...]
    keys: tuple[PublicKey, ...]
    limits: Limits
    threads: int
    reader: Reader | None
