"""How busy the live lanes are → when a replay may handle its next portion.

A worker is one event loop before one sink, so live messages wait while a portion of a replay is handled. Beside live
traffic a replay therefore

- handles small portions, one at a time, and begins each when no live lane has anything to handle; they are larger
  where live traffic is a trickle;
- rests after each, so that it is at work for `idle`² of the time, where `idle` is the share of the last second in which
  the live lanes had nothing to do. Squared, as what is idle here is not free: other workers and the stores use the same
  machine, and the less of it is left, the longer everybody waits for what a replay takes;
- rests and waits for LONGEST at most, which is its floor. Only a full batch of live messages that waits holds it up for
  longer: live traffic then comes as fast as it can be handled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from penstock.replay import metrics
from penstock.replay.live_traffic import LiveTraffic
from penstock.stopping import set_within

SMALL = 100  # messages of a portion beside live traffic
LARGE = 500  # the same, where the live lanes are idle for most of the time
MOSTLY = 0.8  # of the last second
LONGEST = 1.0  # seconds from one portion to the next
LOOK_EVERY = 0.005  # seconds between looks while live messages are handled


class Turns:
    """The portions of all lanes of a run in this process, beside its live lanes."""

    def __init__(self, live: LiveTraffic, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = live
        self._clock = clock
        self._ended_at = clock() - LONGEST
        self._rest = 0.0

    def ended(self, seconds: float) -> None:
        """A portion has been handled, for so long."""
        share = self._live.idle**2
        self._rest = min(seconds * (1 - share) / share, LONGEST) if share > 0 else LONGEST
        self._ended_at = self._clock()

    @property
    def portion(self) -> int:
        """Messages of the next one."""
        return LARGE if self._live.idle > MOSTLY else SMALL

    @property
    def remaining(self) -> float:
        """Seconds of rest that are left."""
        return max(self._ended_at + self._rest - self._clock(), 0.0)

    async def wait(self, stop: asyncio.Event) -> None:
        """Returns when the next portion may be handled, or `stop` is set."""
        if (rest := self.remaining) > 0:
            metrics.RESTED.inc(rest)
            if await set_within(stop, rest):
                return
        latest = self._ended_at + LONGEST
        while self._live.at_work and self._clock() < latest:
            if await set_within(stop, LOOK_EVERY):
                return
        await self._live.give_way(stop)
