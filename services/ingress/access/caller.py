"""grants of a key or a token → HttpCaller: who sends or asks, and what that allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from penstock.auth.api_keys import ALL
from penstock.contracts import Contracts, operations
from penstock.errors import Refused


@dataclass(frozen=True, slots=True)
class HttpCaller:
    """A person or program that uses the API. `identity` is the publisher of what it sends, and its name in audit
    records.

    `types` it may send, `datasets` it may read, `asks` the operations (`search.query`) it may ask for.
    """

    identity: str
    types: frozenset[str]
    datasets: frozenset[str]
    roles: frozenset[str]
    sends: bool
    tails: bool
    asks: frozenset[str]

    @property
    def _roles(self) -> str:
        return f"{self.identity} has {'the roles ' + ', '.join(sorted(self.roles)) if self.roles else 'no roles'}"

    def must_send(self) -> None:
        """Raises Refused FORBIDDEN unless one of its roles sends."""
        if not self.sends:
            raise Refused("FORBIDDEN", f"{self._roles}, and may not send events")

    def must_tail(self) -> None:
        """Raises Refused FORBIDDEN unless one of its roles follows events."""
        if not self.tails:
            raise Refused("FORBIDDEN", f"{self._roles}, and may not follow events")

    def must_ask(self, service: str, operation: str) -> None:
        """Raises Refused FORBIDDEN unless one of its roles asks this."""
        if f"{service}.{operation}" not in self.asks:
            raise Refused("FORBIDDEN", f"{self._roles}, and may not ask for {service}.{operation}")

    def readable(self, datasets: Iterable[str] | None) -> list[str]:
        """The datasets to look into: those named, else all that it may read.

        Raises Refused FORBIDDEN when one of them is not granted, or none is.
        """
        chosen = self.datasets if datasets is None else set(datasets)
        if not chosen or not chosen <= self.datasets:
            denied = ", ".join(sorted(chosen - self.datasets)) or "any dataset"
            allowed = ", ".join(sorted(self.datasets)) or "none"
            detail = f"{self.identity} may not read {denied}; of the datasets it may read {allowed}"
            raise Refused("FORBIDDEN", detail, pointer="/datasets" if chosen else "")
        return sorted(chosen)


def http_caller(
    contracts: Contracts, identity: str, *, types: frozenset[str], datasets: frozenset[str], roles: Collection[str]
) -> HttpCaller:
    """The caller with these grants, where `*` stands for all types or datasets; roles that the contracts do not have
    allow nothing."""
    known = [contracts.roles[name] for name in roles if name in contracts.roles]
    asks = {f"{service}.{operation}" for role in known for service, operation in operations(contracts, role.requests)}
    return HttpCaller(
        identity=identity,
        types=frozenset(contracts.types) if ALL in types else types,
        datasets=frozenset(contracts.datasets) if ALL in datasets else datasets,
        roles=frozenset(roles),
        sends=any("send" in role.may for role in known),
        tails=any("tail" in role.may for role in known),
        asks=frozenset(asks),
    )
