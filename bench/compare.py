"""Penstock beside its peers and its ceilings, in one run: interleaved rounds, an A/A control, every figure at the sink.

    python -m bench --only compare [--quick] [--rounds 5]

Prints the ratios that matter; writes docs/benchmarks/compare.json and its plots.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import drains, journeys, plots, posts
from bench.counts import verify
from bench.end_to_end import caught_up
from bench.fleet import Fleet
from bench.lanes import measure as lanes
from bench.model import train
from bench.peers.site import open_site
from bench.ratios import ratios

PARTS = "posts,lane,indexer,writer,scorer,end_to_end"
FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """All parts, one after the other; only what a part needs runs meanwhile."""
    rounds, seconds, events = arguments.rounds, arguments.seconds, arguments.events
    if arguments.quick:
        rounds, seconds, events = min(rounds, 2), min(seconds, 2.0), min(events, 6_000)
    results: dict[str, Any] = {
        "conditions": {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "rounds": rounds,
            "seconds": seconds,
            "events": events,
            "load_average_before": os.getloadavg(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    }
    site = await open_site(base)
    try:
        for name in arguments.parts.split(","):
            console.print(f"[bold]{name}[/] in {rounds} rounds …")
            match name:
                case "posts":
                    results[name] = await posts.measure(site, rounds, seconds, events)
                case "lane":
                    results[name] = await lanes(site, rounds, events)
                case "indexer" | "writer":
                    results[name] = await drains.measure(site, name, rounds, events)
                case "scorer":
                    await _train(base, console)
                    results[name] = await drains.measure_scorer(site, rounds, events)
                case "end_to_end":
                    results[name] = await journeys.measure(site, rounds, events)
            _show(name, results[name], console)
        results["counted"] = await verify(site)
        results["conditions"]["load_average_after"] = os.getloadavg()
    finally:
        await site.broker.drain()
        await site.core.drain()
    results["ratios"] = ratios(results)
    table = Table("figure", "value", "is", "goal", "reached", title="ratios that matter")
    for row in results["ratios"]:
        reached = {True: "yes", False: "[bold red]no[/]", None: ""}[row["reached"]]
        table.add_row(row["figure"], f"{row['value']:.2f}", row["unit"], row["goal"], reached)
    console.print(table)
    folder = arguments.state / "compare-results" if arguments.quick else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(results, indent=1) + "\n")
    plots.draw(results, folder)
    console.print(f"written to {folder}")
    return results


async def _train(base: Fleet, console: Console) -> None:
    """A model from a few thousand events that the indexer has."""
    await base.start("operator_0", "indexer_0", "writer_0", "ingress_0")
    await base.load(seconds=60, events=5_000, batch=100, connections=4)
    await caught_up(base)
    await train(base, console)
    base.has_model = False  # for caught_up: no scorer runs in most parts
    await base.stop("operator_0", "indexer_0", "writer_0", "ingress_0")


def _show(part: str, found: dict[str, Any], console: Console) -> None:
    for what, rows in found.items() if part == "posts" else [("", found)]:
        table = Table(
            "contestant", "events/s", "own µs", "servers µs", "p50 ms", "p99 ms", "MB", title=f"{part} {what}"
        )
        for name, row in rows.items():
            cpu = dict(row["cpu_us"])
            own = cpu.pop("own")
            servers = " + ".join(f"{value:.0f}" for value in cpu.values())
            times = (f"{row[each]:.1f}" if row[each] else "" for each in ("p50_ms", "p99_ms", "mb"))
            table.add_row(name, f"{row['rate']:,.0f}", f"{own:.1f}", servers, *times)
        console.print(table)
