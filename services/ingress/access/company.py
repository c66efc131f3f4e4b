"""Whether an identity has the ingress for itself, so that bounds for the sake of others cost nothing where there are
none."""

from __future__ import annotations

import time

SECONDS = 10.0  # after its last request, in which somebody counts as there


class Company:
    """Remembers the last two identities that asked for anything: one of them is somebody else than any third."""

    def __init__(self) -> None:
        self._last = self._other = ""
        self._last_at = self._other_at = float("-inf")
        self._over = False

    def note(self, identity: str) -> None:
        """A request of the identity."""
        if identity != self._last:
            self._other, self._other_at = self._last, self._last_at
            self._last = identity
        self._last_at = time.monotonic()

    def has(self, identity: str) -> bool:
        """Whether somebody else was there within SECONDS."""
        latest = self._other_at if identity == self._last else self._last_at
        return not self._over and time.monotonic() - latest < SECONDS

    def end(self) -> None:
        """The process stops: from here on everybody is done soonest without bounds."""
        self._over = True
