"""Authorization header → Caller: who sends or asks, and what that allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope

from penstock.auth.api_keys import ALL, Key, KeyFile
from penstock.contracts import Contracts, operations
from penstock.errors import Refused
from penstock.services.ingress.access.challenge import NoCredentials
from penstock.services.ingress.access.edge_identity import must_agree


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or program at the door. `identity` is the publisher of what it sends, and its name in audit records.

    `types` it may send, `datasets` it may read, `asks` the operations (`search.query`) it may ask for.
    """

    identity: str
    types: frozenset[str]
    datasets: frozenset[str]
    roles: frozenset[str]
    sends: bool
    tails: bool
    asks: frozenset[str]

    def must_send(self) -> None:
        """Raises Refused FORBIDDEN unless one of its roles sends."""
        if not self.sends:
            raise Refused("FORBIDDEN", f"{self.identity} has no role that sends events")

    def must_tail(self) -> None:
        """Raises Refused FORBIDDEN unless one of its roles follows events."""
        if not self.tails:
            raise Refused("FORBIDDEN", f"{self.identity} has no role that follows events")

    def must_ask(self, service: str, operation: str) -> None:
        """Raises Refused FORBIDDEN unless one of its roles asks this."""
        if f"{service}.{operation}" not in self.asks:
            raise Refused("FORBIDDEN", f"{self.identity} has no role that asks {service}.{operation}")

    def readable(self, datasets: Iterable[str] | None) -> list[str]:
        """The datasets to look into: those named, else all that it may read.

        Raises Refused FORBIDDEN when one of them is not granted, or none is.
        """
        chosen = self.datasets if datasets is None else set(datasets)
        if not chosen or not chosen <= self.datasets:
            denied = ", ".join(sorted(chosen - self.datasets)) or "any dataset"
            raise Refused("FORBIDDEN", f"{self.identity} may not read {denied}", pointer="/datasets" if chosen else "")
        return sorted(chosen)


class Verifier(Protocol):
    """Says who a request is from. Another implementation may take OIDC tokens; nothing else has to change."""

    async def verify(self, scope: Scope) -> Caller:
        """Raises Refused UNAUTHENTICATED, without saying what was wrong with the credentials."""


class KeyVerifier:
    """Bearer keys in a file (penstock.auth.api_keys). Without the file nobody gets in."""

    def __init__(self, keys: KeyFile, contracts: Contracts, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.keys = keys
        self._contracts = contracts
        self._now_ns = now_ns
        self._callers: dict[str, tuple[Key, Caller]] = {}

    async def verify(self, scope: Scope) -> Caller:
        """The caller whose key stands in `Authorization: Bearer`."""
        key = self.keys.find(bearer(scope), self._now_ns())
        if key is None or key.identity in self._contracts.identities:
            raise Refused("UNAUTHENTICATED", "the key is not known, or it is revoked or has expired")
        must_agree(scope)
        known = self._callers.get(key.id)
        if known is None or known[0] is not key:
            known = self._callers[key.id] = (key, _caller(key, self._contracts))
        return known[1]


def bearer(scope: Scope) -> str:
    """The credentials in the Authorization header. Raises Refused UNAUTHENTICATED when there are none, or several."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, credentials = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer" or not credentials.strip():
        raise NoCredentials("there is no `Authorization: Bearer` header")
    return credentials.strip().decode("latin-1")


def _caller(key: Key, contracts: Contracts) -> Caller:
    roles = [contracts.roles[name] for name in key.roles if name in contracts.roles]
    asks = {f"{service}.{operation}" for role in roles for service, operation in operations(contracts, role.requests)}
    return Caller(
        identity=key.identity,
        types=frozenset(contracts.types) if ALL in key.types else key.types,
        datasets=frozenset(contracts.datasets) if ALL in key.datasets else key.datasets,
        roles=key.roles,
        sends=any("send" in role.may for role in roles),
        tails=any("tail" in role.may for role in roles),
        asks=frozenset(asks),
    )
