"""A worker handles live messages, replays a backlog, and handles live messages again, warm, with nothing else to do.

    live      before and after: as many as are needed for a figure
    restore   the backlog into a store that has lost it (the indexer: its indices are deleted first)
    repair    over what is there: what an operator does who is not sure what is missing

Counted by the consumers' acknowledgements, then by the outcome records and, for the indexer, by Elasticsearch. While a
backlog is filled or replayed, the live consumers are paused (ADR-34).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import mean

import httpx
from rich.console import Console
from rich.table import Table

from bench.admin import open_admin
from bench.ceilings.records import stored_events
from bench.drains import OURS, fill
from bench.fleet import Fleet
from bench.model import train
from bench.replay_driver import Driver
from bench.watch import Watch
from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.contracts import load
from penstock.events import timestamps
from penstock.publish import Outgoing
from penstock.replay.run import Range, Run

SINKS = {"indexer": "elasticsearch", "writer": "cassandra", "scorer": None}
KINDS = {"indexer": ("restore", "repair"), "writer": ("repair",), "scorer": ("repair",)}
LIVE = 60_000  # events of a live figure
TRAINED_ON = 20_000
CHUNK = 200_000  # events made at a time
_PATIENCE = 900.0


class Drains:
    """The drains of one worker, and their figures."""

    def __init__(
        self, base: Fleet, admin: Broker, driver: Driver, filler: Broker, worker: str, console: Console
    ) -> None:
        self.rows: list[dict[str, object]] = []
        self.rates: dict[str, list[float]] = {}
        self._base = base
        self._admin = admin
        self._driver = driver
        self._filler = filler
        self._worker = worker
        self._console = console
        self._names = load().streams[OURS].members(worker)

    async def backlog(self, events: int) -> Range:
        """Stores new events behind the paused consumers; the range that they are."""
        soon = timestamps.text(time.time_ns() + int(_PATIENCE * 1e9))
        await self._pause({"pause_until": soon})
        jetstream = self._base.broker.jetstream
        info = await jetstream.stream_info(OURS)
        for begin in range(0, events, CHUNK):
            made = await asyncio.to_thread(stored_events, min(CHUNK, events - begin))
            await fill(self._filler, [Outgoing(event.subject, event.raw) for event in made])
        end = await jetstream.stream_info(OURS)
        return Range(
            stream=OURS,
            epoch=end.epoch,
            first=info.last_seq + 1,
            last=end.last_seq,
            filters=tuple(end.config["subjects"]),
            planned=end.last_seq - info.last_seq,
        )

    async def live(self, planned: Range, most: int) -> None:
        """The live lanes handle the first `most` messages of the range."""
        await self._pause({})
        await self._drain("live", partial(self._settled, planned), most)

    async def replay(self, what: str, planned: Range) -> None:
        """A run over the range."""
        run = await self._driver.apply(self._worker, planned)
        await self._drain(what, partial(_replayed, self._base, run), planned.planned)
        await self._driver.end(run)
        await self._driver.prove(run)

    async def _pause(self, body: dict[str, str]) -> None:
        for name in self._names:
            await self._admin.jetstream.api(f"CONSUMER.PAUSE.{OURS}.{name}", body)

    async def _settled(self, planned: Range) -> int:
        """How many of the range the live lanes have settled; all before them they have, too."""
        infos = [await self._base.broker.jetstream.consumer_info(OURS, name) for name in self._names]
        return planned.planned - sum([info.pending + info.ack_pending for info in infos])

    async def _drain(self, what: str, count: Callable[[], Awaitable[int]], most: int) -> None:
        worker, base = self._worker, self._base
        pids = {worker: base.pid(f"{worker}_0"), "nats": base.pid("nats")}
        if (server := SINKS[worker]) is not None:
            pids[server] = base.pid(server)
        watch = Watch(count, pids)
        await watch.until(most, timeout=_PATIENCE)
        rate, cpu = watch.figures()
        cpu_us = {name: round(value, 1) for name, value in cpu.items()}
        self._console.print(f"{worker} {what}: {rate:,.0f} events/s, {cpu_us}")
        self.rates.setdefault(what, []).append(rate)
        self.rows.append({"worker": worker, "drain": what, "events": most, "rate": round(rate), "cpu_us": cpu_us})


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """One row for each drain; the last of each worker says how fast it replays, of its own live speed."""
    admin = await open_admin(base)
    driver = await Driver(await connect_as("operator", base.place)).open()
    filler = await connect_as("ingress", base.place)
    table = Table("worker", "replay", "of its live speed", title="live and replayed")
    rows: list[dict[str, object]] = []
    try:
        for worker in arguments.workers.split(","):
            if worker == "scorer":
                await _model(base, admin, driver, filler, console)
            drains = Drains(base, admin, driver, filler, worker, console)
            await base.start(f"{worker}_0")
            kinds = [kind for kind in KINDS[worker] if worker != "indexer" or kind in arguments.kinds.split(",")]
            await _figures(base, drains, worker, kinds, arguments.events)
            await base.stop(f"{worker}_0")
            live = mean(drains.rates["live"])
            for kind in kinds:
                ratio = mean(drains.rates[kind]) / live
                table.add_row(worker, kind, f"{ratio:.2f}")
                drains.rows.append({"worker": worker, "replay": kind, "of_live": round(ratio, 3)})
            rows += drains.rows
    finally:
        for broker in (driver.broker, filler, admin):
            await broker.drain()
    console.print(table)
    return rows


async def _figures(base: Fleet, drains: Drains, worker: str, kinds: Sequence[str], events: int) -> None:
    most = min(LIVE, events)
    await drains.live(await drains.backlog(most), most)
    planned = await drains.backlog(events)
    for kind in kinds:
        if kind == "restore":
            await lose(base)
        await drains.replay(kind, planned)
        if kind == "restore":
            await _count(base, planned.planned)
    if worker == "indexer":
        await lose(base)
    await drains.live(planned, most)


async def _model(base: Fleet, admin: Broker, driver: Driver, filler: Broker, console: Console) -> None:
    """Trains one from events that an indexer has stored."""
    drains = Drains(base, admin, driver, filler, "indexer", console)
    await base.start("indexer_0")
    await drains.live(await drains.backlog(TRAINED_ON), TRAINED_ON)
    await base.stop("indexer_0")
    await base.start("operator_0")
    await train(base, console)
    await base.stop("operator_0")


async def _replayed(base: Fleet, run: Run) -> int:
    """How many messages of the run are settled."""
    [range] = run.ranges
    info = await base.broker.jetstream.consumer_info(range.stream, range.consumer)
    return range.planned - info.pending - info.ack_pending


async def lose(base: Fleet) -> None:
    """Deletes the indices of events."""
    async with httpx.AsyncClient(base_url=base.place.elasticsearch, timeout=60) as http:
        for row in (await http.get("/_cat/indices/events-*?format=json")).raise_for_status().json():
            (await http.delete(f"/{row['index']}")).raise_for_status()


async def _count(base: Fleet, planned: int) -> None:
    """Raises RuntimeError unless Elasticsearch holds what was replayed, and no more."""
    async with httpx.AsyncClient(base_url=base.place.elasticsearch, timeout=60) as http:
        (await http.post("/events-*/_refresh")).raise_for_status()
        count = (await http.get("/events-*/_count")).raise_for_status().json()["count"]
    if count != planned:
        raise RuntimeError(f"Elasticsearch holds {count} events after a replay of {planned}")
