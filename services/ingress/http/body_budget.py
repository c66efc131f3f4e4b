"""Bytes of request bodies in memory: a bound for all, a share for each identity and each address, a reserve.

What counts has arrived: a length that is only announced takes nothing from anybody.
"""

from __future__ import annotations

from types import TracebackType

from penstock.errors import Unavailable
from penstock.services.ingress import metrics
from penstock.services.ingress.settings import IngressSettings

SMALL = 512 * 1024  # bytes up to which an identity may use the reserve: twice the largest event

_IDENTITY, _ADDRESS, _ALL = (metrics.SHARES_USED_UP.labels(f"body_{name}") for name in ("identity", "address", "all"))


class BodyBudget:
    """Who finds a share used up is sent away with it, so memory stays bounded and others are not held up."""

    def __init__(self, settings: IngressSettings) -> None:
        self.held = 0
        self._most = settings.ingress_body_bytes
        self._open = settings.ingress_body_bytes - settings.ingress_body_reserve_bytes
        self._most_identity = settings.ingress_body_identity_bytes
        self._most_address = settings.ingress_body_address_bytes
        self._identities: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    def lease(self, identity: str, address: str) -> Lease:
        """For one request: gives back at the end of its block what was taken in it."""
        return Lease(self, identity, address)

    def take(self, identity: str, address: str, count: int) -> None:
        """Raises Unavailable BODY_SHARE_USED or OVERLOADED, and takes nothing then."""
        held = self.held + count
        of_identity = self._identities.get(identity, 0) + count
        of_address = self._addresses.get(address, 0) + count
        if of_identity > self._most_identity:
            _IDENTITY.inc()
            raise _used(f"the identity {identity}", self._most_identity)
        if of_address > self._most_address:
            _ADDRESS.inc()
            raise _used(f"the address {address}", self._most_address)
        if held > self._most or (held > self._open and of_identity > SMALL):
            _ALL.inc()
            raise Unavailable("OVERLOADED", f"requests of {self.held} bytes are being worked on", retry_after=1)
        self.held = held
        self._identities[identity] = of_identity
        self._addresses[address] = of_address

    def give_back(self, identity: str, address: str, count: int) -> None:
        """What was taken; nothing stays of who holds nothing."""
        self.held -= count
        _less(self._identities, identity, count)
        _less(self._addresses, address, count)


class Lease:
    """What one request has taken of the budget."""

    __slots__ = ("_address", "_budget", "_identity", "held")

    def __init__(self, budget: BodyBudget, identity: str, address: str) -> None:
        self._budget = budget
        self._identity = identity
        self._address = address
        self.held = 0

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.held:
            self._budget.give_back(self._identity, self._address, self.held)
            self.held = 0

    def grow_to(self, count: int) -> None:
        """Raises Unavailable BODY_SHARE_USED or OVERLOADED."""
        if count > self.held:
            self._budget.take(self._identity, self._address, count - self.held)
            self.held = count


def _less(held: dict[str, int], name: str, count: int) -> None:
    if rest := held[name] - count:
        held[name] = rest
    else:
        del held[name]


def _used(whose: str, most: int) -> Unavailable:
    return Unavailable("BODY_SHARE_USED", f"{whose} has {most} bytes of requests in progress at most", retry_after=1)
