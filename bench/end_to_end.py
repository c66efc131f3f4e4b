"""HTTP load → the whole fleet → all three stores: the rate that every stage keeps up with, and accept-to-indexed."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.model import train
from bench.scrape import buckets, quantile
from bench.watch import cpu_seconds, resident_mb
from penstock.stack.probes import percentile, time_stages

FLEET = ("operator_0", "indexer_0", "writer_0", "scorer_0", "ingress_0")
SERVERS = ("nats", "elasticsearch", "cassandra")
EVENTS = ("EVENTS_HTTP", "EVENTS_NATS")
QUEUE = "penstock_model_queue_duration_seconds"
# While both cores are busy, Java compiles hot code slowly: a tenth of all CPU time in the first minute.
WARM_UP = 100_000  # events


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """A load as fast as it goes until every stage has it, then paced ones for the latency."""
    await base.start(*FLEET[:3], "ingress_0")
    await base.load(seconds=300, events=WARM_UP, batch=500, connections=4)
    await caught_up(base)
    await train(base, console)
    pids = await base.start(*FLEET) | {name: base.pid(name) for name in SERVERS}
    await base.load(seconds=300, events=2 * WARM_UP, batch=100, connections=8)  # until now the path of scores is cold
    await caught_up(base)
    rows = {}
    for rate in (0, 3000, 1000, 500):
        rows[str(rate or "flat out")] = await _run(base, rate, arguments.seconds, pids)
    table = Table(
        "load", "events/s", "indexed p99 ms", "model queue p99 ms", *(f"{name} µs" for name in pids), title="end to end"
    )
    for name, row in rows.items():
        indexed = row["accept_to_ms"]["indexed"]["p99"]
        table.add_row(
            name,
            f"{row['rate']:,}",
            f"{indexed:,.0f}",
            str(row["model_queue_p99_ms"]),
            *(f"{v:.0f}" for v in row["cpu_us"].values()),
        )
    console.print(table)
    memory = {name: round(resident_mb(pid)) for name, pid in pids.items()}
    return {"runs": rows, "mb": memory}


async def _run(base: Fleet, rate: float, seconds: float, pids: dict[str, int]) -> dict[str, Any]:
    before, began = await base.stored(), time.perf_counter()
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    scorer = base.place.local_port("scorer")
    waited = await buckets(scorer, QUEUE)
    batch = 20 if 0 < rate <= 1000 else 100
    url = f"http://127.0.0.1:{base.place.local_port('ingress')}"
    probes = int(5 * seconds)
    seen, waits = await asyncio.gather(
        base.load(seconds=seconds, batch=batch, connections=8, rate=rate),
        time_stages(url, base.key, count=probes, at_once=probes, every=seconds / probes),
    )
    await caught_up(base)
    took = time.perf_counter() - began
    events = await base.stored() - before
    return {
        "events": events,
        "rate": round(events / took),
        "behind_seconds": round(took - float(str(seen["seconds"])), 2),
        "answer_p50_ms": seen["p50_ms"],
        "answer_p99_ms": seen["p99_ms"],
        "accept_to_ms": {
            stage: {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)} for stage, times in waits.items()
        },
        "model_queue_p99_ms": round(1000 * quantile(waited, await buckets(scorer, QUEUE), 0.99), 1),
        "cpu_us": {name: round(1e6 * (cpu_seconds(pid) - cpu[name]) / events, 1) for name, pid in pids.items()},
    }


async def caught_up(base: Fleet, timeout: float = 600) -> None:
    """Waits until every event and every score is in its stores."""
    async with asyncio.timeout(timeout):
        while True:
            stored = await base.stored()
            scored = await base.scored() if base.has_model else stored
            stages = [
                await base.settled("indexer", *EVENTS),
                await base.settled("writer", *EVENTS),
                scored,
            ]
            if base.has_model:
                stages += [stored - scored + await base.settled(w, "SCORES") for w in ("indexer", "writer")]
            if min(stages) >= stored:
                return
            await asyncio.sleep(0.1)
