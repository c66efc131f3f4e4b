"""Replay lanes inside the test's own loop, with a handler that the test gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from penstock.broker import Broker
from penstock.consume import Handle, Lane, LaneOptions
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.run import Run
from penstock.replay.run_lanes import Host, ReplaySource
from penstock.replay.worker import ReplayWorker
from tests.support.broker_rig import STREAM
from tests.support.until import BOUND


def same(handle: Handle) -> Callable[[Run], Handle]:
    """The same handler for every run."""
    return lambda _: handle


class Replica:
    """`async with Replica(broker, sink.handle):` one process of the worker, as far as replays go."""

    def __init__(
        self,
        broker: Broker,
        *handles: Handle,
        name: str = "replica",
        streams: Sequence[str] = (STREAM,),
        live: Sequence[Lane] = (),
        options: LaneOptions | None = None,
    ) -> None:
        options = options or LaneOptions(batch=100, linger=0.005, after_failure=0.2)
        sources = [ReplaySource(stream, same(handle), options) for stream, handle in zip(streams, handles, strict=True)]
        self._worker = ReplayWorker(Host(broker, "indexer", name, sources, LiveTraffic(live), lambda: 0, None))
        self._stop = asyncio.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._worker.follow(self._stop))

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        async with asyncio.timeout(BOUND):
            await self._task
