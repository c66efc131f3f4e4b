"""batch of a replay → portions, each when the pace allows it and no live batch waits → the worker's own handler."""

from __future__ import annotations

import asyncio

from penstock.consume import Delivery, Handle, Outcome, Retry
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.pace import Pace


class Gate:
    """What all lanes of a run go through."""

    def __init__(self, pace: Pace, live: LiveTraffic, stop: asyncio.Event) -> None:
        self._pace = pace
        self._live = live
        self._stop = stop

    def guard(self, handle: Handle) -> Handle:
        """`handle` at the pace of the run. When the run stops here, what was not handled yet is given back."""

        async def guarded(batch: list[Delivery]) -> list[Outcome]:
            outcomes: list[Outcome] = []
            while rest := len(batch) - len(outcomes):
                await self._live.give_way(self._stop)
                portion = self._live.portion(rest)
                if not await self._pace.take(portion):
                    return [*outcomes, *[Retry(0.0, "the replay stops here")] * rest]
                begin = len(outcomes)
                outcomes += await handle(batch[begin : begin + portion])
            return outcomes

        return guarded
