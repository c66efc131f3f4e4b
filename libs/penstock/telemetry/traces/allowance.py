"""At most so many in a second, whatever is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """A token bucket that holds what one second gives."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left = per_second
        self._at = clock()

    def take(self, wanted: int = 1) -> int:
        """How many of them are granted."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * self._per_second, self._per_second)
        self._at = now
        granted = min(wanted, int(self._left))
        self._left -= granted
        return granted

    def give_back(self, granted: int = 1) -> None:
        """What was granted and not used."""
        self._left = min(self._left + granted, self._per_second)
