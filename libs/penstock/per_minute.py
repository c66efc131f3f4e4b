"""Rate limit for records that any caller can cause: so many a minute, the rest is only counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

MINUTE = 60.0  # seconds


class PerMinute:
    """Lets `most` a minute pass and counts the rest by name. `clock` gives seconds that never go back."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._began = clock()
        self._passed = 0
        self._counted: Counter[str] = Counter()

    def passes(self, name: str) -> bool:
        """Whether one more may pass in this minute; counted where not."""
        if self._passed < self._most:
            self._passed += 1
            return True
        self._counted[name] += 1
        return False

    def turn(self) -> Counter[str] | None:
        """What was only counted, if a minute is over: then the next one begins."""
        if self._clock() - self._began < MINUTE:
            return None
        counted, self._counted = self._counted, Counter()
        self._began, self._passed = self._clock(), 0
        return counted
