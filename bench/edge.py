"""HTTP load → edge → ingress → stream, beside the same load without the edge: its cost per request."""

from __future__ import annotations

import argparse
import asyncio
import os

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet, load
from bench.watch import cpu_seconds, resident_mb
from penstock.services.edge.running import serving
from penstock.stack import fleet, haproxy, process
from penstock.stack.place import Place
from tests.support.mint import Mint

LOADS: tuple[dict[str, float], ...] = ({"batch": 1, "connections": 32}, {"batch": 100, "connections": 8})


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> list[dict[str, object]]:
    """One row per route, credential and load."""
    mint = await asyncio.to_thread(lambda: Mint(base.place.state / "mint"))
    place = Place(**{**base.place.model_dump(exclude_unset=True), "issuers_file": mint.issuers_file})
    child = next(each for each in fleet.children(place) if each.name == "ingress_0")
    os.environ["PENSTOCK_EDGE_RATE"] = "1000000"  # one identity sends all there is here
    record = await asyncio.to_thread(process.start, place, child)
    await asyncio.to_thread(fleet.wait_ready, place, child, record)
    await asyncio.to_thread(lambda: haproxy.wait_ready(place, haproxy.start(place)))
    edge = serving(place)
    if edge is None:
        raise RuntimeError("the edge does not run")
    token = mint.person("bench", "penstock-senders", life=36_000)
    ways = {
        ("ingress", "key"): (f"http://127.0.0.1:{place.local_port('ingress')}", base.key),
        ("edge", "key"): (f"https://127.0.0.1:{place.local_port('edge')}", base.key),
        ("ingress", "token"): (f"http://127.0.0.1:{place.local_port('ingress')}", token),
        ("edge", "token"): (f"https://127.0.0.1:{place.local_port('edge')}", token),
    }
    table = Table(
        "way", "credentials", "batch", "requests/s", "edge µs", "ingress µs", "p50 ms", "p99 ms", title="edge"
    )
    rows: list[dict[str, object]] = []
    await load(ways["edge", "key"][0], base.key, place, seconds=3, **LOADS[0])  # warm
    for options in LOADS:
        for (way, credentials), (url, secret) in ways.items():
            before = cpu_seconds(edge), cpu_seconds(record.pid)
            seen = await load(url, secret, place, seconds=arguments.seconds, **options)
            requests = sum(seen["answers"].values())
            micros = [
                round(1e6 * (cpu_seconds(pid) - past) / requests, 1)
                for pid, past in zip((edge, record.pid), before, strict=True)
            ]
            row = {
                "way": way,
                "credentials": credentials,
                **options,
                "requests_s": round(requests / seen["seconds"]),
                "edge_us": micros[0],
                "ingress_us": micros[1],
                "p50_ms": seen["p50_ms"],
                "p99_ms": seen["p99_ms"],
                "answers": seen["answers"],
                "edge_mb": round(resident_mb(edge)),
            }
            rows.append(row)
            names = ("way", "credentials", "batch", "requests_s", "edge_us", "ingress_us", "p50_ms", "p99_ms")
            table.add_row(*(f"{row[name]}" for name in names))
    console.print(table)
    return rows
