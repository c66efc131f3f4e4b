"""Places for what lasts: so many for all, and of them a share for each identity, so that one cannot take them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import Unavailable
from penstock.services.ingress import metrics


class Places:
    """`name` is that of the metric's share, `what` a plural for sentences, `code` that of a used up share."""

    def __init__(self, name: str, what: str, code: str, *, of_all: int, of_identity: int, retry_after: float) -> None:
        self._what = what
        self._code = code
        self._of_all = of_all
        self._of_identity = of_identity
        self._retry_after = retry_after
        self._identity_used_up = metrics.SHARES_USED_UP.labels(f"{name}_identity")
        self._all_used_up = metrics.SHARES_USED_UP.labels(f"{name}_all")
        self._taken: dict[str, int] = {}
        self.taken = 0

    def take(self, identity: str) -> None:
        """Raises Unavailable with the code of the share, or OVERLOADED, and takes nothing then."""
        of_identity = self._taken.get(identity, 0)
        if of_identity >= self._of_identity:
            self._identity_used_up.inc()
            detail = f"{identity} has {of_identity} {self._what}, and may have {self._of_identity} at one time"
            raise Unavailable(self._code, detail, retry_after=self._retry_after)
        if self.taken >= self._of_all:
            self._all_used_up.inc()
            raise Unavailable("OVERLOADED", f"there are {self.taken} {self._what}", retry_after=self._retry_after)
        self._taken[identity] = of_identity + 1
        self.taken += 1

    def give_back(self, identity: str) -> None:
        """One that was taken."""
        self.taken -= 1
        if rest := self._taken[identity] - 1:
            self._taken[identity] = rest
        else:
            del self._taken[identity]

    @contextmanager
    def one(self, identity: str) -> Iterator[None]:
        """A place for the time of the block. Raises as `take`."""
        self.take(identity)
        try:
            yield
        finally:
            self.give_back(identity)
