"""A worker drains a backlog of live messages, then replays the same messages, warm, with nothing else to do.

    live      from a start behind the backlog
    restore   the same messages into a store that has lost them (the indexer: its indices are deleted first)
    repair    once more, over what is there: what an operator does who is not sure what is missing

Counted by the consumers' acknowledgements, then by the outcome records and, for the indexer, by Elasticsearch.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench.ceilings.records import stored_events
from bench.drains import OURS, fill
from bench.fleet import Fleet
from bench.model import train
from bench.watch import Watch
from penstock.auth.connect import connect_as
from penstock.broker import Broker, Keys
from penstock.contracts import load, subjects
from penstock.publish import Outgoing
from penstock.replay.outcomes import decode
from penstock.replay.run import BUCKET, NOTIFICATION, Holder, Range, Run, target_key
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import ReplayAllowance
from penstock.rpc.server import serve

ROUNDS = 2
_SINKS = {"indexer": "elasticsearch", "writer": "cassandra", "scorer": None}
_PATIENCE = 600.0
_RATE = 1_000_000.0  # events a second: as fast as the worker can


@dataclass
class Driver:
    """The operator, as far as one run needs it: no plan, no pace, no rest."""

    broker: Broker
    run: Run | None = None
    slot: str = "b"

    async def open(self) -> Driver:
        """Grants whatever is asked for."""
        await serve(self.broker, "replay", {"progress": self._progress})
        return self

    async def apply(self, worker: str, range: Range) -> Run:
        """Starts a run, with a consumer made for it."""
        self.slot = "a" if self.slot == "b" else "b"
        range = range.model_copy(update={"consumer": f"replay_{worker}_{self.slot}"})
        await self.broker.jetstream.ensure_consumer(
            range.stream,
            {
                "name": range.consumer,
                "durable_name": range.consumer,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": range.first,
                "ack_policy": "explicit",
                "ack_wait": 5_000_000_000,
                "max_ack_pending": 4_000 if worker == "scorer" else 10_000,
                "filter_subjects": list(range.filters),
            },
        )
        run = Run(
            id=f"bench-{worker}-{time.time_ns()}",
            plan="0" * 64,
            target=worker,
            source="events",
            effect="repair",
            ranges=(range,),
            planned=range.planned,
            rate=_RATE,
            state="running",
        )
        await self._put(run, Holder(run.id, self.slot))
        return run

    async def end(self, run: Run) -> None:
        """Marks the run as done, and removes its consumer."""
        await self._put(run.move("done", at="2026-01-01T00:00:00Z", by="bench"), Holder("", self.slot))
        [range] = run.ranges
        await self.broker.jetstream.api(f"CONSUMER.DELETE.{range.stream}.{range.consumer}")

    async def _put(self, run: Run, holder: Holder) -> None:
        self.run = run
        keys = Keys(self.broker, BUCKET)
        await keys.put(run.key, run.encode())
        await keys.put(target_key(run.target), holder.encode())
        self.broker.send(f"ctl.{NOTIFICATION}")

    async def _progress(self, request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        del request, caller
        state = self.run.state if self.run else "cancelled"
        return ReplayAllowance(state=state, rate=_RATE if state == "running" else 0.0).to_json()


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """One row for each worker, round and kind of drain."""
    driver = await Driver(await connect_as("operator", base.place)).open()
    filler = await connect_as("ingress", base.place)
    table = Table("worker", "drain", "events/s", "worker µs", "its server µs", "nats µs", title="live and replayed")
    rows: list[dict[str, object]] = []

    async def drain(worker: str, what: str, count: Callable[[], Awaitable[int]], most: int) -> None:
        pids = {worker: base.pid(f"{worker}_0"), "nats": base.pid("nats")}
        if (server := _SINKS[worker]) is not None:
            pids[server] = base.pid(server)
        watch = Watch(count, pids)
        await watch.until(most, timeout=_PATIENCE)
        rate, cpu = watch.figures()
        cpu_us = {name: round(value, 1) for name, value in cpu.items()}
        console.print(f"{worker} {what}: {rate:,.0f} events/s, {cpu_us}")
        rows.append({"worker": worker, "drain": what, "events": most, "rate": round(rate), "cpu_us": cpu_us})
        far = f"{cpu[server]:.1f}" if server else ""
        table.add_row(worker, what, f"{rate:,.0f}", f"{cpu[worker]:.1f}", far, f"{cpu['nats']:.1f}")

    async def replay(worker: str, what: str, planned: Range) -> None:
        run = await driver.apply(worker, planned)
        await drain(worker, what, partial(_replayed, base, run), planned.planned)
        await driver.end(run)
        await _prove(driver, run)

    try:
        for number in range(ROUNDS):
            console.print(f"round {number + 1}: a backlog of {arguments.events:,} events …")
            planned = await _backlog(base, filler, arguments.events)
            for worker in _SINKS:
                if worker == "scorer" and number == 0:
                    await base.start("operator_0")
                    await train(base, console)
                    await base.stop("operator_0")
                await base.start(f"{worker}_0")
                await drain(worker, "live", partial(_live, base, worker, planned), planned.planned)
                if worker == "indexer":
                    await _lose(base)
                    await replay(worker, "restore", planned)
                    await _count(base, planned.planned)
                await replay(worker, "repair", planned)
                await base.stop(f"{worker}_0")
    finally:
        await driver.broker.drain()
        await filler.drain()
    console.print(table)
    return rows


async def _live(base: Fleet, worker: str, planned: Range) -> int:
    """How many messages of the backlog the live lanes have settled; all others before it they have, too."""
    names = load().streams[OURS].members(worker)
    infos = [await base.broker.jetstream.consumer_info(OURS, name) for name in names]
    return planned.planned - sum([info.pending + info.ack_pending for info in infos])


async def _replayed(base: Fleet, run: Run) -> int:
    """How many messages of the run are settled."""
    [range] = run.ranges
    info = await base.broker.jetstream.consumer_info(range.stream, range.consumer)
    return range.planned - info.pending - info.ack_pending


async def _prove(driver: Driver, run: Run) -> None:
    """Raises RuntimeError unless every message of the run has its outcome on record."""
    [range], found, sequence = run.ranges, set[int](), 1
    subject = subjects.replay_log(run.target, run.id)
    while page := await driver.broker.jetstream.get_many("REPLAY_LOG", subject=subject, sequence=sequence):
        for message in page:
            found.update(*decode(message.data)[range.stream].values())
        sequence = page[-1].sequence + 1
    if len(found) != range.planned or min(found) < range.first or max(found) > range.last:
        raise RuntimeError(f"{run.id}: {len(found)} outcomes of {range.planned} messages")


async def _lose(base: Fleet) -> None:
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


async def _backlog(base: Fleet, filler: Broker, events: int) -> Range:
    """Stores new events; the range that they are."""
    info = await base.broker.jetstream.stream_info(OURS)
    made = await asyncio.to_thread(stored_events, events)
    await fill(filler, [Outgoing(event.subject, event.raw) for event in made])
    end = await base.broker.jetstream.stream_info(OURS)
    return Range(
        stream=OURS,
        epoch=end.epoch,
        first=info.last_seq + 1,
        last=end.last_seq,
        filters=tuple(end.config["subjects"]),
        planned=end.last_seq - info.last_seq,
    )
