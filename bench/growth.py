"""How cost grows: with the backlog (a lane that does nothing, then the indexer and the writer), with the size of a
batch of POSTs, and with the number of processes on one consumer.

    python -m bench --only growth [--largest 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.ceilings.records import stored_events
from bench.drains import OURS, drain
from bench.fleet import Fleet
from bench.lanes import timed_lane
from bench.peers.site import open_site, pass_over
from bench.rounds import Sample, middle
from bench.watch import cpu_seconds
from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.publish import GroupCommitter, Outgoing

SMALLEST = 10_000
FLAT = 1.10  # times the cost at the smallest backlog
BATCHES = (1, 10, 100, 1000)
SINKS = {"indexer": "elasticsearch", "writer": "cassandra"}
_PIECE, _LARGE_PIECE = 5_000, 50_000

Row = dict[str, Any]


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, list[Row]]:
    """CPU-µs per event of our process and of NATS, beside each size."""
    site = await open_site(base)  # for a connection that may move consumers
    core = site.core
    filler = await Broker.connect(base.place.nats, "ingress", base.place.credentials_folder)
    found: dict[str, list[Row]] = {}

    def keep(title: str, rows: list[Row]) -> None:
        found[title] = rows
        _show(title, rows, console)

    try:
        keep("backlog of a lane", await _lane(base, core, filler, arguments.largest))
        keep("backlog of a sink", await _sinks(base, core, filler, min(arguments.largest, 1_000_000)))
        keep("events in a POST", await _posts(base, arguments.seconds))
        keep("processes", await _processes(base, core, filler, min(arguments.events, 100_000)))
    finally:
        await filler.drain()
        await site.broker.drain()
        await core.drain()
    return found


def _show(title: str, rows: list[Row], console: Console) -> None:
    table = Table(*rows[-1], title=title)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    console.print(table)


def _sizes(largest: int) -> Iterator[int]:
    size = SMALLEST
    while size <= largest:
        yield size
        size *= 10


async def _lane(base: Fleet, core: Broker, filler: Broker, largest: int) -> list[Row]:
    indexer = await Broker.connect(base.place.nats, "indexer", base.place.credentials_folder)
    # Small, so that ten million fit the stream and leave room for the other parts: nobody may empty it.
    group = [Outgoing(f"evt.{number % 64:02x}.http.bench.log.line.v1", b"x" * 20) for number in range(_PIECE)]
    rows: list[Row] = []
    try:
        for size in _sizes(largest):
            samples = []
            # A small backlog is over in a tenth of a second: the same number of events in all, up to a million.
            for _ in range(min(10, max(1, 1_000_000 // size))):
                await pass_over(core, OURS, ["indexer"])
                await _store(filler, group, size)
                samples.append(await timed_lane(base.pid("nats"), indexer, size))
            rows.append(_row("messages", size, middle(samples), rows))
    finally:
        await indexer.drain()
    return rows


async def _sinks(base: Fleet, core: Broker, filler: Broker, largest: int) -> list[Row]:
    found: list[Row] = []
    for worker, server in SINKS.items():
        await pass_over(core, OURS, [worker])
        pid = (await base.start(f"{worker}_0"))[f"{worker}_0"]
        rows: list[Row] = []
        for size in (SMALLEST, *_sizes(largest)):  # the first round warms up
            group = await _group(size)
            sample = await drain(core, filler, OURS, [worker], group, [pid], base.pid(server))
            rows.append({"worker": worker} | _row("events", size, sample, rows[1:]))
        found += rows[1:]
        await base.stop(f"{worker}_0")
    return found


async def _posts(base: Fleet, seconds: float) -> list[Row]:
    pids = await base.start("ingress_0") | {"nats": base.pid("nats")}
    await base.load(seconds=3, batch=100, connections=8)
    rows: list[Row] = []
    for batch in BATCHES:
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        before = await base.stored()
        seen = await base.load(seconds=min(seconds, 10), batch=batch, connections=64 if batch == 1 else 8)
        events = await base.stored() - before
        own, server = (1e6 * (cpu_seconds(pid) - cpu[name]) / events for name, pid in pids.items())
        rows.append(
            _row("events in a POST", batch, Sample(events / seen["seconds"], {"own": own, "server": server}), [])
        )
    await base.stop("ingress_0")
    return rows


async def _processes(base: Fleet, core: Broker, filler: Broker, events: int) -> list[Row]:
    await pass_over(core, OURS, ["indexer"])
    group = await _group(events)
    rows: list[Row] = []
    base.place = base.place.model_copy(update={"fleet": {"indexer": 2}})
    for count in (1, 2):
        names = [f"indexer_{number}" for number in range(count)]
        pids = list((await base.start(*names)).values())
        await drain(core, filler, OURS, ["indexer"], group[: events // 10], pids, base.pid("elasticsearch"))
        sample = await drain(core, filler, OURS, ["indexer"], group, pids, base.pid("elasticsearch"))
        rows.append({"worker": "indexer"} | _row("processes", count, sample, []))
        await base.stop(*names)
    return rows


async def _group(count: int) -> list[Outgoing]:
    """Distinct events, for a store that keeps equal ones once."""
    found: list[Outgoing] = []
    while len(found) < count:  # in pieces, since a checked event is much larger than its bytes
        made = await asyncio.to_thread(stored_events, min(_LARGE_PIECE, count - len(found)))
        found += [Outgoing(event.subject, event.raw) for event in made]
    return found


async def _store(filler: Broker, group: list[Outgoing], count: int) -> None:
    """The same events repeatedly, for a handler that does not read them."""
    committer = GroupCommitter(filler)
    await committer.start()
    try:
        for begin in range(0, count, len(group)):
            for result in await committer.submit(list(islice(group, count - begin))):
                if isinstance(result, PenstockError):
                    raise result
    finally:
        await committer.stop()


def _row(what: str, size: int, sample: Sample, earlier: list[Row]) -> Row:
    own = sample.cpu_us["own"]
    row: Row = {
        what: size,
        "events_per_second": round(sample.rate),
        "own_us": round(own, 1),
        "server_us": round(sample.cpu_us["server"], 1),
    }
    if earlier:
        times = own / earlier[0]["own_us"]
        row |= {"times_the_smallest": round(times, 2), "flat": "yes" if times <= FLAT else "no"}
    return row
