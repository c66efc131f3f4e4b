"""HTTP load → ingress → stream: events/s answered after their fsync, counted on the stream."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.watch import cpu_seconds, resident_mb

LOADS = (
    {"batch": 100, "connections": 8},
    {"batch": 100, "connections": 32},
    {"batch": 1, "connections": 64},
    {"batch": 1, "connections": 256},
)


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """One row per load."""
    pids = await base.start("ingress_0") | {"nats": base.pid("nats")}
    table = Table(
        "batch", "connections", "events/s", "ingress µs", "nats µs", "p50 ms", "p99 ms", "MB", title="ingress"
    )
    rows: list[dict[str, object]] = []
    await base.load(seconds=3, **LOADS[0])  # warm
    for load in LOADS:
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        before = await base.stored()
        seen = await base.load(seconds=arguments.seconds, **load)
        events = await base.stored() - before
        micros = {name: 1e6 * (cpu_seconds(pid) - cpu[name]) / events for name, pid in pids.items()}
        row = {
            **load,
            "events": events,
            "accepted": seen["events"],
            "rate": round(events / float(str(seen["seconds"]))),
            "cpu_us": {name: round(value, 1) for name, value in micros.items()},
            "p50_ms": seen["p50_ms"],
            "p99_ms": seen["p99_ms"],
            "answers": seen["answers"],
            "ingress_mb": round(resident_mb(pids["ingress_0"])),
        }
        rows.append(row)
        table.add_row(
            str(load["batch"]),
            str(load["connections"]),
            f"{row['rate']:,}",
            f"{micros['ingress_0']:.0f}",
            f"{micros['nats']:.0f}",
            str(seen["p50_ms"]),
            str(seen["p99_ms"]),
            str(row["ingress_mb"]),
        )
    console.print(table)
    return rows
