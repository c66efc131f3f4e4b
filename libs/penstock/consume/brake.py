"""outcomes of the last minute, by publisher → is it the worker, or one bad publisher?

When most messages of several publishers are dropped, the fault is here (a bad deploy, a broken mapping): the brake
stops the lane before it empties the stream into the dead letters. A single bad publisher never stops it; its dead
letters are limited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

WINDOW = 60.0  # seconds
LEAST = 20  # messages of a publisher in the window before it counts
RATIO = 0.5  # of them dropped
PUBLISHERS = 2  # that must be so, and at least half of those seen
FIRST_STOP = 30.0  # seconds
LONGEST_STOP = 600.0


class Brake:
    """Counts outcomes; `stopped` while the lane must rest. After the rest it counts afresh, and rests longer next
    time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._seen: dict[str, list[int]] = {}
        self._until = 0.0
        self._stop = FIRST_STOP
        self._dropped_at = -WINDOW

    @property
    def watching(self) -> bool:
        """Whether anything was dropped lately; while nothing is, outcomes need not be counted."""
        return self._clock() - self._dropped_at < WINDOW

    @property
    def stopped(self) -> bool:
        """Whether the lane must rest now."""
        return self._clock() < self._until

    @property
    def remaining(self) -> float:
        """Seconds until the lane may try again."""
        return max(0.0, self._until - self._clock())

    def count(self, outcomes: Iterable[tuple[str, bool]]) -> bool:
        """Adds (publisher, dropped) pairs; True when the brake has just closed."""
        now = self._clock()
        if now - self._since > WINDOW:
            if not self._bad():
                self._stop = FIRST_STOP
            self._since = now
            self._seen.clear()
        for publisher, dropped in outcomes:
            counts = self._seen.setdefault(publisher, [0, 0])
            counts[0] += 1
            if dropped:
                counts[1] += 1
                self._dropped_at = now
        if self.stopped or not self._bad():
            return False
        self._until = now + self._stop
        self._stop = min(2 * self._stop, LONGEST_STOP)
        self._since = self._until
        self._seen.clear()
        return True

    def _bad(self) -> bool:
        counted = [(total, dropped) for total, dropped in self._seen.values() if total >= LEAST]
        bad = sum(dropped > RATIO * total for total, dropped in counted)
        return bad >= PUBLISHERS and 2 * bad >= len(self._seen)
