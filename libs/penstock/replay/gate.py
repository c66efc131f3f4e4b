"""batch of a replay → the worker's own handler, as the pace allows; beside live traffic in small portions, one at a
time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

from penstock.consume import Delivery, Handle, Outcome, Retry
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.pace import Pace

# Events of a replay that are handled at a time while there is live traffic, so that neither the process nor its sink is
# theirs for long.
SMALL = 200


class Gate:
    """What all lanes of a run go through."""

    def __init__(self, pace: Pace, live: LiveTraffic, stop: asyncio.Event) -> None:
        self._pace = pace
        self._live = live
        self._stop = stop
        self._one = asyncio.Lock()

    def guard(self, handle: Handle) -> Handle:
        """`handle` at the pace of the run. When the run stops here, what was not handled yet is given back."""

        async def guarded(batch: list[Delivery]) -> list[Outcome]:
            outcomes: list[Outcome] = []
            while rest := len(batch) - len(outcomes):
                await self._live.give_way(self._stop)
                beside_live = self._live.is_active
                async with self._one if beside_live else nullcontext():
                    portion = min(rest, SMALL) if beside_live else rest
                    if not await self._pace.take(portion):
                        return [*outcomes, *[Retry(0.0, "the replay stops here")] * rest]
                    begin = len(outcomes)
                    outcomes += await handle(batch[begin : begin + portion])
            return outcomes

        return guarded
