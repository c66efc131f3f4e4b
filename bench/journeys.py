"""POSTs of 100 events → API → stream → both stores: the rate at which everything sent reaches both stores.

A journey begins with the first POST and ends when both consumers have settled the last event. Own CPU is that of the
API and of both workers; the load's is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.drains import OURS, ROW_BY_ROW
from bench.fleet import load
from bench.peers.site import SETS, STREAM, Site, pass_over
from bench.rounds import Measure, Sample, as_json, interleave
from bench.watch import cpu_seconds, resident_mb

LOAD = {"batch": 100, "connections": 8}
WORKERS = ("indexer", "writer")
SERVERS = ("nats", "elasticsearch", "cassandra")


@dataclass
class Line:
    """One contestant: its API, its processes, how much its stream holds and what is left to do."""

    url: str
    pids: list[int]
    left: Callable[[], Awaitable[int]]
    share: int = 1  # of the events: one in so many


async def measure(site: Site, rounds: int, events: int) -> dict[str, Any]:
    """Each contestant in turn; the processes of the others keep running, idle."""
    lines = await _lines(site)
    found = await interleave({name: _measure(site, line, events // line.share) for name, line in lines.items()}, rounds)
    return as_json(found)


async def _lines(site: Site) -> dict[str, Line]:
    base = site.base
    await pass_over(site.core, OURS, WORKERS)
    await pass_over(site.broker, STREAM, [f"{name}_{worker}" for name in SETS for worker in WORKERS])
    pids = list((await base.start("indexer_0", "writer_0", "ingress_0")).values())
    ours = Line(f"http://127.0.0.1:{base.place.local_port('ingress')}", pids, partial(_ours_left, site))
    found = {"Penstock": ours, "Penstock again": ours}
    for name, language, mode in (
        ("FastAPI, FastStream", "python", "publish"),
        ("Go, js.PublishAsync", "go", "publish"),
        ("Go, group commit", "go", "commit"),
    ):
        if language == "go" and not site.has_go:
            continue
        api = f"peer_line_{language}_{mode}"
        words = ("api", mode, language) if language == "go" else ("api", language)
        pids = [
            await site.start(api, language, *words),
            await site.start(f"peer_{language}_indexer", language, "indexer", language),
            await site.start(f"peer_{language}_writer", language, "writer", language),
        ]
        share = ROW_BY_ROW if language == "python" else 1
        found[name] = Line(site.url(api), pids, partial(_theirs_left, site, language), share)
    return found


async def _ours_left(site: Site) -> int:
    infos = [await site.base.broker.jetstream.consumer_info(OURS, worker) for worker in WORKERS]
    return max(info.pending + info.ack_pending for info in infos)


async def _theirs_left(site: Site, language: str) -> int:
    names = (f"{language}_{worker}" for worker in WORKERS)
    infos = [await site.broker.jetstream.consumer_info(STREAM, name) for name in names]
    return max(info.pending + info.ack_pending for info in infos)


def _measure(site: Site, line: Line, events: int) -> Measure:
    async def run() -> Sample:
        pids = {"own": line.pids, **{name: [site.base.pid(name)] for name in SERVERS}}
        before = {name: sum(map(cpu_seconds, each)) for name, each in pids.items()}
        began = time.perf_counter()
        seen = await load(line.url, site.base.key, site.place, seconds=120, events=events, **LOAD)
        if seen["events"] < events:
            raise RuntimeError(f"{line.url} took {seen['events']} of {events} events: {seen['answers']}")
        async with asyncio.timeout(300):
            while await line.left():  # noqa: ASYNC110 - the server is asked
                await asyncio.sleep(0.05)
        seconds = time.perf_counter() - began
        micros = {name: 1e6 * (sum(map(cpu_seconds, each)) - before[name]) / events for name, each in pids.items()}
        memory = sum(map(resident_mb, line.pids))
        return Sample(events / seconds, micros, seen["p50_ms"], seen["p99_ms"], memory)

    return run
