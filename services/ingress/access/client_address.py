"""The address that a request comes from, for the shares of addresses: the peer's, or behind the edge its client's.

The edge shows that it is the edge by a secret of its own (Penstock-Edge), and replaces what a client writes into that
field. X-Forwarded-For counts with it only. An address decides on shares, and never on who somebody is.
"""

from __future__ import annotations

import hmac
import ipaddress
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import structlog
from starlette.types import Scope

from penstock.auth import edge_proof
from penstock.errors import PenstockError

FORWARDED = b"x-forwarded-for"
_log = structlog.get_logger("penstock.ingress")


class ClientAddresses:
    """`secrets` is the folder that ingress and edge share; without one, all that comes from an edge is one address."""

    def __init__(self, secrets: Path) -> None:
        self._proof = b""
        try:
            self._proof = edge_proof.ensure(secrets)
        except (PenstockError, OSError) as error:
            _log.warning("edge_proof_unreadable", reason=str(error))

    def of(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """The address, or IPv6 network, that counts for this request."""
        shown = headers.get(edge_proof.HEADER)
        if shown is not None and self._proof and hmac.compare_digest(shown, self._proof):
            return network(headers.get(FORWARDED, b"").decode("latin-1")[:64])
        client = scope["client"]
        return network(client[0]) if client else ""


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """An IPv4 address as it is; of IPv6 the /64, since a client has all addresses of one."""
    if ":" not in address:
        return address
    with suppress(ValueError):
        found = ipaddress.IPv6Address(address.partition("%")[0])
        return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return address
