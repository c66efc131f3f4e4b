"""The live lanes of this process, as a replay sees them: they go first, unless their brake is closed. Then they do
nothing, and what repairs their sink may be the replay itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import prod

from penstock.consume import Delivery, Lane
from penstock.replay import metrics
from penstock.stopping import set_within

ACTIVE = 1.0  # seconds since the last live delivery
OUTDATED = 1.0  # seconds behind, from which on a lane's numbers are looked up
SMOOTHING = 0.5  # of each new reading of how idle they are; one comes twice a second
LOOK_EVERY = 0.01  # seconds between looks while live messages wait


class LiveTraffic:
    """How busy the live lanes are; `lanes` may grow."""

    def __init__(self, lanes: Sequence[Lane], clock: Callable[[], float] = time.monotonic) -> None:
        self._lanes = lanes
        self._clock = clock
        self._newest: list[Delivery | None] = []  # of each lane, at the last look
        self._changed_at = -ACTIVE
        self.idle = 0.0  # the share of the last second in which they had nothing to handle, as of the last look
        self._looked_at = clock()
        self._busy: list[float] = []  # seconds, of each lane, at the last look

    @property
    def _working(self) -> list[Lane]:
        return [lane for lane in self._lanes if not lane.braked]

    @property
    def pending(self) -> int:
        """Messages that wait for them, as far as deliveries say."""
        return sum([lane.pending for lane in self._lanes])

    async def look(self) -> None:
        """Brings `pending` and `behind` up to date, where deliveries say too little: to a lane that is full, or when
        other replicas took what was left. Measures `idle`."""
        self._measure()
        await asyncio.gather(*(lane.look() for lane in self._lanes if lane.batch_waiting or lane.behind > OUTDATED))

    @property
    def behind(self) -> float:
        """Age in seconds of what they handle now; 0 when nothing waits."""
        return max((lane.behind for lane in self._lanes), default=0.0)

    @property
    def working_behind(self) -> float:
        """The same of those lanes whose brake is open."""
        return max((lane.behind for lane in self._working), default=0.0)

    @property
    def at_work(self) -> bool:
        """Whether one of them has something to handle."""
        return any(lane.at_work for lane in self._working)

    @property
    def is_active(self) -> bool:
        """Whether live messages came within the last second."""
        newest, now = [lane.newest for lane in self._lanes], self._clock()
        if any(one is not before for one, before in zip_longest(newest, self._newest)):
            self._newest, self._changed_at = newest, now
        return now - self._changed_at < ACTIVE

    async def give_way(self, stop: asyncio.Event) -> None:
        """Returns when no live lane has a full batch that waits, or `stop` is set."""
        if not self._waiting():
            return
        metrics.YIELDED.inc()
        while self._waiting():
            if await set_within(stop, LOOK_EVERY):
                return

    def _measure(self) -> None:
        """Lanes work independently of each other, so that all are idle for the product of what each is."""
        busy, now = [lane.busy_seconds for lane in self._lanes], self._clock()
        seconds = now - self._looked_at
        if seconds > 0:
            pairs = zip_longest(busy, self._busy, fillvalue=0.0)
            idle = prod([min(max(1 - (after - before) / seconds, 0.0), 1.0) for after, before in pairs])
            self.idle += SMOOTHING * (idle - self.idle)
        self._busy, self._looked_at = busy, now

    def _waiting(self) -> bool:
        return any(lane.batch_waiting for lane in self._working)
