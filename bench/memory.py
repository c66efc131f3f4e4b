"""A long load through the whole fleet → resident memory of each process over time: within its limit, and flat.

    python -m bench --only memory --minutes 30

The caches and pools of a process fill during the first quarter (its warm-up); after that it may not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import suppress
from statistics import linear_regression, median

from rich.console import Console
from rich.table import Table

from bench.end_to_end import FLEET, SERVERS, caught_up
from bench.fleet import Fleet
from bench.model import train
from bench.watch import resident_mb

RATE = 1000.0  # events a second, by default
EVERY = 5.0  # seconds between samples
WARM_UP = 0.25  # of the run
GROWTH = 0.05  # of the resident memory that still counts as flat
LIMITS = {"ingress_0": 150, "indexer_0": 150, "writer_0": 150, "scorer_0": 800}  # MB
LONGEST_LOAD = 600.0  # seconds; the limit of bench.load

Samples = list[tuple[float, float]]  # (seconds since the start, MB)


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """Start, after warm-up, end and slope of each process; `ok` where it has a limit and keeps it."""
    await base.start(*FLEET[:3], "ingress_0")
    await base.load(seconds=120, events=20_000, batch=200, connections=4)
    await caught_up(base)
    await train(base, console)
    pids = await base.start(*FLEET) | {name: base.pid(name) for name in SERVERS}
    await caught_up(base)
    before = await base.stored()
    console.print(f"loading with {arguments.rate:g} events/s for {arguments.minutes:g} minutes …")
    samples = await _run(base, pids, arguments.minutes * 60, arguments.rate)
    await caught_up(base)
    rows = {name: _figures(name, series) for name, series in samples.items()}
    _show(rows, console)
    return {"events": await base.stored() - before, "minutes": arguments.minutes, "processes": rows}


async def _run(base: Fleet, pids: dict[str, int], seconds: float, rate: float) -> dict[str, Samples]:
    done = asyncio.Event()
    watching = asyncio.create_task(_watch(pids, done))
    end = time.perf_counter() + seconds
    try:
        while (left := end - time.perf_counter()) > 1:
            await base.load(seconds=min(left, LONGEST_LOAD), batch=20, connections=8, rate=rate)
    finally:
        done.set()
    return await watching


async def _watch(pids: dict[str, int], done: asyncio.Event) -> dict[str, Samples]:
    samples: dict[str, Samples] = {name: [] for name in pids}
    began = time.perf_counter()
    while not done.is_set():
        now = time.perf_counter() - began
        for name, pid in pids.items():
            samples[name].append((now, resident_mb(pid)))
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await done.wait()
    return samples


def _figures(name: str, series: Samples) -> dict[str, object]:
    """Medians of a tenth of the run, so that one garbage collection does not decide."""
    tenth = max(1, len(series) // 10)
    warm = series[int(len(series) * WARM_UP) :]
    after, end = median([mb for _, mb in warm[:tenth]]), median([mb for _, mb in warm[-tenth:]])
    slope = linear_regression(*zip(*warm, strict=True)).slope if len(warm) > 1 else 0.0
    most, limit = max(mb for _, mb in series), LIMITS.get(name)
    figures: dict[str, object] = {
        "start_mb": round(series[0][1], 1),
        "after_warm_up_mb": round(after, 1),
        "end_mb": round(end, 1),
        "most_mb": round(most, 1),
        "slope_mb_per_hour": round(slope * 3600, 1),
    }
    if limit is not None:
        figures |= {"limit_mb": limit, "ok": most <= limit and end <= after * (1 + GROWTH)}
    return figures


def _show(rows: dict[str, dict[str, object]], console: Console) -> None:
    columns = ("start_mb", "after_warm_up_mb", "end_mb", "most_mb", "limit_mb", "slope_mb_per_hour")
    table = Table(
        "process", *(column.removesuffix("_mb").replace("_", " ") for column in columns), "", title="memory, MB"
    )
    for name, row in rows.items():
        verdict = {True: "ok", False: "[red]over the limit[/]", None: ""}[row.get("ok")]  # type: ignore[index]
        table.add_row(name, *(str(row.get(column, "")) for column in columns), verdict)
    console.print(table)
