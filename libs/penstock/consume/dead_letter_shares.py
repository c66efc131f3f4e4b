"""How much of the room for dead letters one publisher can take, through one worker process.

Full dead letters are limited by number and by bytes, ranges by number. What is used up comes back slowly, so that a
publisher of which 34 messages a second fail does not fill the stream within the time for which it keeps anything. Above
that it does in the end, with one range for each `waiting` messages: docs/shares.md has the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

KIB, MIB = 1024, 1024 * 1024
MINUTE, HOUR = 60.0, 3600.0  # seconds
MOST_PUBLISHERS = 256  # counted one by one; those beyond have one share in common
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Share:
    """The figures. Within any hour a publisher takes at most `full_bytes` + `full_bytes_an_hour`, and as many ranges as
    `ranges` and the time allow."""

    full_per_minute: int = 60
    full_bytes: int = 16 * MIB
    full_bytes_an_hour: int = 96 * KIB  # of `full_bytes`, that come back
    ranges: int = 10
    range_every: float = 60.0  # seconds after which one of `ranges` comes back
    apart: float = 1.0  # seconds between two ranges
    # Messages that wait for a range at most; then it is stored whatever the share says. All of them are unsettled, in
    # each replica: keep it well below max_ack_pending of every consumer.
    waiting: int = 2048


DEFAULT = Share()


class _Left:
    """What one publisher has left."""

    def __init__(self, share: Share, now: float) -> None:
        self._share = share
        self._at = now
        self._minute = now
        self._full = 0
        self._bytes = float(share.full_bytes)
        self._ranges = float(share.ranges)
        self._range_at = now - share.apart
        self.over_at = now - HOUR  # when it was last over its share

    def full(self, size: int, now: float) -> bool:
        self._refill(now)
        if now - self._minute >= MINUTE:
            self._minute, self._full = now, 0
        if self._full >= self._share.full_per_minute or self._bytes < size:
            self.over_at = now
            return False
        self._full += 1
        self._bytes -= size
        return True

    def range(self, now: float) -> bool:
        self._refill(now)
        if self._ranges < 1 or now - self._range_at < self._share.apart:
            return False
        self.range_stored(now)
        return True

    def range_stored(self, now: float) -> None:
        self._ranges = max(0.0, self._ranges - 1)
        self._range_at = now

    def is_whole(self, now: float) -> bool:
        """Whether nothing would be lost by forgetting it."""
        self._refill(now)
        share = self._share
        return self._bytes >= share.full_bytes and self._ranges >= share.ranges and now - self._minute >= MINUTE

    def _refill(self, now: float) -> None:
        share, passed = self._share, now - self._at
        self._bytes = min(share.full_bytes, self._bytes + passed * share.full_bytes_an_hour / HOUR)
        self._ranges = min(share.ranges, self._ranges + passed / share.range_every)
        self._at = now


class DeadLetterShares:
    """The shares of all publishers. `clock`: seconds that never go back."""

    def __init__(self, share: Share, clock: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self._clock = clock
        self._left: dict[str, _Left] = {}

    def full(self, publisher: str, size: int) -> bool:
        """Takes a full dead letter of so many bytes from the share, if there is room for it."""
        return self._of(publisher).full(size, self._clock())

    def range(self, publisher: str) -> bool:
        """Takes a range from the share, if it may be stored now."""
        return self._of(publisher).range(self._clock())

    def range_stored(self, publisher: str) -> None:
        """Takes a range from the share that is stored in any case."""
        self._of(publisher).range_stored(self._clock())

    def counted_as(self, publisher: str) -> str:
        """The publisher, or OTHERS where it is not counted by itself: a name for metrics."""
        return publisher if publisher in self._left else OTHERS

    def used_up(self, within: float) -> list[str]:
        """The publishers that were over their share within so many seconds."""
        now = self._clock()
        return sorted(publisher for publisher, left in self._left.items() if now - left.over_at < within)

    def _of(self, publisher: str) -> _Left:
        left = self._left.get(publisher)
        if left is None:
            now = self._clock()
            if len(self._left) >= MOST_PUBLISHERS:
                self._left = {name: each for name, each in self._left.items() if not each.is_whole(now)}
            if len(self._left) >= MOST_PUBLISHERS:
                publisher = OTHERS
            left = self._left.setdefault(publisher, _Left(self.share, now))
        return left
