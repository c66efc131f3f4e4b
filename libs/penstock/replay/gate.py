"""batch of a replay → the worker's own handler, as the pace allows; beside live traffic in small portions, one at a
time."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext

from penstock.consume import Delivery, Handle, Outcome, Retry
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.pace import Pace
from penstock.replay.turns import Turns

AHEAD = 1.0  # seconds of the allowed rate that are fetched ahead
STOPS = "the replay stops here"


class Gate:
    """What all lanes of a run go through."""

    def __init__(self, pace: Pace, live: LiveTraffic, stop: asyncio.Event) -> None:
        self._pace = pace
        self._live = live
        self._stop = stop
        self._turns = Turns(live)
        self._one = asyncio.Lock()

    def ahead(self) -> int:
        """Messages that a lane may hold: so many that the pace never waits for the broker, and that a pause, or a turn
        that comes late, leaves little in hand."""
        if (rate := self._pace.rate) <= 0:
            return 0
        most = max(int(rate * AHEAD), 1)
        return min(most, 2 * self._turns.portion) if self._live.is_active else most

    def guard(self, handle: Handle) -> Handle:
        """`handle` at the pace of the run. When the run stops here, what was not handled yet is given back."""

        async def guarded(batch: list[Delivery]) -> list[Outcome]:
            outcomes: list[Outcome] = []
            while rest := len(batch) - len(outcomes):
                beside_live = self._live.is_active
                async with self._one if beside_live else nullcontext():
                    portion = min(rest, self._turns.portion) if beside_live else rest
                    if not await self._pace.take(portion):
                        return [*outcomes, *[Retry(0.0, STOPS)] * rest]
                    await self._turns.wait(self._stop)
                    if self._stop.is_set():
                        return [*outcomes, *[Retry(0.0, STOPS)] * rest]
                    began, begin = time.monotonic(), len(outcomes)
                    outcomes += await handle(batch[begin : begin + portion])
                    if beside_live:
                        self._turns.ended(time.monotonic() - began)
            return outcomes

        return guarded
