"""The library's two hot paths by themselves, from APP across the account boundary, on a stream that syncs every write:
messages/s, and CPU-µs a message of this process and of the server."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from penstock.auth.connect import connect_as
from penstock.broker import Broker, Stored
from penstock.consume import DeadLetters, Delivery, Done, Lane, Outcome
from penstock.publish import GroupCommitter, Outgoing

SUBJECT = "evt.{:02x}.http.bench.log.line.v1"
PAYLOAD = b"x" * 300
# (submitters, messages in each submission)
LOADS = ((1, 1), (64, 1), (256, 1), (1024, 1), (4, 1000))


class _Rows:
    """Rows for the table and for the JSON."""

    def __init__(self, nats: int) -> None:
        self.table = Table("what", "messages/s", "ms each", "here µs", "nats µs", title="broker")
        self.rows: list[dict[str, object]] = []
        self._nats = psutil.Process(nats)

    @contextmanager
    def row(self, what: str, count: list[int]) -> Iterator[None]:
        """Measures the block; `count[0]` is how many messages it handled."""
        nats = sum(self._nats.cpu_times()[:2])
        started, here = time.perf_counter(), time.process_time()
        yield
        seconds, here = time.perf_counter() - started, time.process_time() - here
        nats = sum(self._nats.cpu_times()[:2]) - nats
        messages = count[0]
        rate, own, server = messages / seconds, here / messages * 1e6, nats / messages * 1e6
        self.rows.append({"what": what, "rate": round(rate), "here_us": round(own, 1), "nats_us": round(server, 1)})
        self.table.add_row(what, f"{rate:,.0f}", f"{1e3 / rate:.3f}", f"{own:.1f}", f"{server:.1f}")


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """Single publishes, group commit under several loads, then a lane with a handler that does nothing."""
    place = base.place
    rows = _Rows(base.pid("nats"))
    ingress = await connect_as("ingress", place)
    indexer = await connect_as("indexer", place)
    try:
        with rows.row("publish, one after the other", [500]):
            for _ in range(500):
                await ingress.publish(SUBJECT.format(0), PAYLOAD)
        committer = GroupCommitter(ingress)
        await committer.start()
        for submitters, size in LOADS:
            total = [max(500, min(arguments.events // 4, 40 * submitters * size))]
            with rows.row(f"group commit, {submitters} × {size}", total):
                await _commit(committer, submitters, size, total)
        await committer.stop()
        count = [0]
        with rows.row("lane, handler does nothing", count):
            await _drain(indexer, await base.stored(), count)
    finally:
        await ingress.drain()
        await indexer.drain()
    console.print(rows.table)
    return rows.rows


async def _commit(committer: GroupCommitter, submitters: int, size: int, total: list[int]) -> None:
    sent = 0
    group = [Outgoing(SUBJECT.format(n % 64), PAYLOAD) for n in range(size)]

    async def submit() -> None:
        nonlocal sent
        while sent < total[0]:
            sent += size
            for result in await committer.submit(group):
                if not isinstance(result, Stored):
                    raise result

    await asyncio.gather(*(submit() for _ in range(submitters)))
    total[0] = sent


async def _drain(broker: Broker, messages: int, count: list[int]) -> None:
    stop = asyncio.Event()
    done = Done()

    async def nothing(batch: list[Delivery]) -> list[Outcome]:
        count[0] += len(batch)
        if count[0] >= messages:
            stop.set()
        return [done] * len(batch)

    lane = Lane(broker, "EVENTS_HTTP", "indexer", nothing, dead_letters=DeadLetters(broker, "indexer"))
    await lane.run(stop)
