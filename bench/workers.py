"""A backlog on the stream → one worker at a time drains it: events/s and CPU-µs per event, its server's beside it."""

from __future__ import annotations

import argparse
from functools import partial

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.model import train
from bench.watch import Watch, resident_mb

SINKS = {"indexer": "elasticsearch", "writer": "cassandra"}


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """One row per worker: the indexer and the writer with events, the scorer, then both sinks with scores."""
    await base.start("operator_0", "ingress_0")
    console.print(f"building a backlog of {arguments.events:,} events …")
    while (missing := arguments.events - await base.stored()) > 0:
        await base.load(seconds=300, events=missing, batch=500, connections=4)
    total = await base.stored()
    await base.stop("ingress_0")
    table = Table(
        "worker", "of", "events/s", "worker µs", "its server µs", "nats µs", "MB", title="workers, one at a time"
    )
    rows: list[dict[str, object]] = []

    async def drain(worker: str, server: str | None, what: str, watch_count: object, most: int) -> None:
        pids = {worker: (await base.start(f"{worker}_0"))[f"{worker}_0"], "nats": base.pid("nats")}
        if server:
            pids[server] = base.pid(server)
        watch = Watch(watch_count, pids)  # type: ignore[arg-type]
        await watch.until(most, timeout=600)
        rate, cpu = watch.figures()
        memory = resident_mb(pids[worker])
        await base.stop(f"{worker}_0")
        rows.append(
            {
                "worker": worker,
                "of": what,
                "events": most,
                "rate": round(rate),
                "cpu_us": {name: round(value, 1) for name, value in cpu.items()},
                "mb": round(memory),
            }
        )
        table.add_row(
            worker,
            what,
            f"{rate:,.0f}",
            f"{cpu[worker]:.1f}",
            f"{cpu[server]:.1f}" if server else "",
            f"{cpu['nats']:.1f}",
            f"{memory:.0f}",
        )

    events = ("EVENTS_HTTP", "EVENTS_NATS")
    for worker, server in SINKS.items():
        await drain(worker, server, "events", partial(base.settled, worker, *events), total)
    await train(base, console)
    await drain("scorer", None, "events", base.scored, total)
    for worker, server in SINKS.items():
        await drain(worker, server, "scores", partial(base.settled, worker, "SCORES"), await base.scored())
    console.print(table)
    return rows
