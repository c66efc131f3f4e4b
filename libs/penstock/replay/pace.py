"""allowance (events a second, for a few seconds) → when the next events may be handled.

A token bucket that may go into debt: a batch starts as soon as the bucket is not empty, and what it takes beyond that
delays the next one. So batches stay whole at any rate, and the mean is the allowance. When the rate falls, the debt
falls with it: the next batch is not later for it, also after a change of leaders, of which each begins slowly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

LEASE = 3.0  # seconds that an allowance lasts; without a new one nothing may be handled
BURST = 0.25  # seconds of the rate that may be saved up


class Pace:
    """The share of a run's rate that this process may use. Nothing is allowed before the first `grant`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = 0.0
        self._until = 0.0
        self._level = 0.0  # events that may start; below 0: taken in advance,
        self._level_rate = 0.0  # at this rate
        self._at = clock()
        self._closed = False
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()  # takers in the order in which they came

    @property
    def rate(self) -> float:
        """Events a second that are allowed now; 0 when paused, or when the allowance has run out."""
        return self._rate if self._clock() < self._until else 0.0

    def grant(self, rate: float, seconds: float = LEASE) -> None:
        """Allows `rate` events a second for the next `seconds`, in place of what was allowed before; 0 pauses."""
        self._fill()
        self._rate = max(rate, 0.0)
        if self._level < 0 < self._rate < self._level_rate:
            self._level *= self._rate / self._level_rate
            self._level_rate = self._rate
        self._until = self._clock() + seconds
        self._level = min(self._level, self._rate * BURST)
        self._changed.set()

    def close(self) -> None:
        """Allows nothing any more; who waits is sent away."""
        self._closed = True
        self.grant(0.0)

    async def take(self, events: int) -> bool:
        """Returns when so many events may be handled, and true; false once it is closed."""
        async with self._turn:
            while not self._closed:
                self._changed.clear()
                self._fill()
                rate = self.rate
                if rate > 0 and self._level >= 0:
                    self._level -= events
                    self._level_rate = rate
                    return True
                with suppress(TimeoutError):
                    async with asyncio.timeout(-self._level / rate if rate > 0 else None):
                        await self._changed.wait()
            return False

    def _fill(self) -> None:
        now = self._clock()
        allowed = min(now, self._until) - self._at
        if allowed > 0:
            self._level = min(self._level + allowed * self._rate, self._rate * BURST)
        self._at = now
