"""POSTs → each API in turn → its stream: single events from 256 connections, then batches of 100 from 32."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.ceilings import run as ceiling
from bench.fleet import load
from bench.peers.site import Site
from bench.rounds import Measure, Sample, as_json, interleave, middle
from bench.watch import cpu_seconds, resident_mb

SINGLE: dict[str, float] = {"batch": 1, "connections": 256}
BATCHES: dict[str, float] = {"batch": 100, "connections": 32}


@dataclass
class Api:
    """One contestant; `stored` counts the messages on its stream (None: it stores nothing)."""

    url: str
    pid: int
    stored: Callable[[], Awaitable[int]] | None


async def apis(site: Site) -> dict[str, Api]:
    """All APIs, running and idle."""
    base = site.base
    ingress = (await base.start("ingress_0"))["ingress_0"]
    ours = Api(f"http://127.0.0.1:{base.place.local_port('ingress')}", ingress, base.stored)
    found = {"Penstock": ours, "Penstock again": ours}
    programs = [
        ("empty FastAPI handler", "empty", ("empty",)),
        ("FastAPI, await js.publish", "python", ("api", "python")),
    ]
    if site.has_go:
        programs += [
            ("Go, js.Publish", "go", ("api", "publish", "go")),
            ("Go, group commit", "go", ("api", "commit", "go")),
        ]
    for number, (name, language, words) in enumerate(programs):
        program = f"peer_api_{number}"
        pid = await site.start(program, language, *words)
        found[name] = Api(site.url(program), pid, None if words == ("empty",) else site.stored)
    return found


async def measure(site: Site, rounds: int, seconds: float, events: int) -> dict[str, Any]:
    """Rates of single events and of batches, and the latency at half of our own rate."""
    contestants = await apis(site)
    nats = site.base.pid("nats")

    def posts(api: Api, options: dict[str, float]) -> Measure:
        return partial(_posts, site, api, nats, seconds, options)

    single = await interleave({name: posts(api, SINGLE) for name, api in contestants.items()}, rounds)
    batched: dict[str, Measure] = {
        name: posts(api, BATCHES) for name, api in contestants.items() if name != "empty FastAPI handler"
    }
    batched["atomic batches of 1000"] = partial(ceiling, site.place, "batches", events, nats)
    batches = await interleave(batched, rounds)
    half = 0.5 * middle(batches["Penstock"]).rate
    paced = await interleave({"Penstock": posts(contestants["Penstock"], {**BATCHES, "rate": half})}, rounds)
    await site.base.stop("ingress_0", *(f"peer_api_{number}" for number in range(len(contestants) - 2)))
    return {"single": as_json(single), "batches": as_json(batches), "batches_at_half_load": as_json(paced)}


async def _posts(site: Site, api: Api, nats: int, seconds: float, options: dict[str, float]) -> Sample:
    pids = {"own": api.pid, "nats": nats}
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    before = await api.stored() if api.stored else 0
    seen = await load(api.url, site.base.key, site.place, seconds=seconds, **options)
    events = (await api.stored() - before) if api.stored else seen["events"]
    if events < seen["events"]:
        raise RuntimeError(f"{api.url} accepted {seen['events']} events, its stream has {events}")
    if not events:
        raise RuntimeError(f"{api.url} accepted nothing: {seen['answers']}")
    micros = {name: 1e6 * (cpu_seconds(pid) - cpu[name]) / events for name, pid in pids.items()}
    return Sample(events / seen["seconds"], micros, seen["p50_ms"], seen["p99_ms"], resident_mb(api.pid))
