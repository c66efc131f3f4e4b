"""Events through the whole fleet with traces off, of 1 % and of all requests → CPU-µs per event of each process.

Requests have ten events, so that each event of a sampled request is traced (submit/event_context.py), and no limit but
that applies. Spans go to a receiver that throws them away.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fleet import Fleet
from bench.model import train
from bench.ratios import Goal
from bench.rounds import Measure, Sample, as_json, interleave, middle
from bench.watch import cpu_seconds
from penstock.contracts import load
from penstock.stack import process, up
from penstock.stack.place import Place
from tests.support.otlp_receiver import Receiver
from tests.support.until import until

PROCESSES = ("ingress_0", "indexer_0", "writer_0", "scorer_0")
EVENTS_IN_REQUEST = 10
MODES = {"off": None, "1 %": 0.01, "100 %": 1.0, "off again": None}
GOAL = Goal(1.03, least=False)  # CPU of all four at 1 %, to that with traces off
PATIENCE = 600.0  # seconds


class Discarding(Receiver):
    """Answers, and keeps nothing."""

    def _take(self, body: bytes) -> int:  # noqa: ARG002 - it is not looked at
        return 200


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, Any]:
    """CPU by mode, and its ratio to that with traces off."""
    await base.start("operator_0", *PROCESSES)
    await base.load(seconds=60, events=2_000, batch=100, connections=4)
    await _settled(base)
    await train(base, console)
    await base.stop(*PROCESSES)
    receiver = Discarding()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
    contestants: dict[str, Measure] = {
        name: partial(_one, base, ratio, arguments.events) for name, ratio in MODES.items()
    }
    try:
        found = await interleave(contestants, arguments.rounds)
    finally:
        del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        receiver.close()
    table = Table("traces", *PROCESSES, "together, µs", "to off", title=f"traces (goal at 1 %: {GOAL})")
    ratios = {}
    off = sum(middle(found["off"]).cpu_us.values()) / 2 + sum(middle(found["off again"]).cpu_us.values()) / 2
    for name, samples in found.items():
        cpu = middle(samples).cpu_us
        together = sum(cpu.values())
        ratios[name] = round(together / off, 4)
        table.add_row(name, *(f"{cpu[each]:.1f}" for each in PROCESSES), f"{together:.1f}", f"{together / off:.3f}")
    console.print(table)
    return {"modes": as_json(found), "ratios": ratios, "reached": GOAL.reached(ratios["1 %"])}


async def _one(base: Fleet, ratio: float | None, events: int) -> Sample:
    """The same number of events, from the first request until all scores are put away."""
    place = base.place
    if ratio is not None:
        place = place.model_copy(update={"traces": True, "traces_ratio": ratio, "traces_events": 100_000})
    async with _running(place) as pids:
        await base.load(seconds=10, events=500, batch=EVENTS_IN_REQUEST, connections=8)
        await _settled(base)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        seen = await base.load(seconds=PATIENCE, events=events, batch=EVENTS_IN_REQUEST, connections=16)
        await _settled(base)
        cpu = {name: 1e6 * (cpu_seconds(pid) - before[name]) / events for name, pid in pids.items()}
    return Sample(seen["rate"], cpu, seen["p50_ms"], seen["p99_ms"])


@asynccontextmanager
async def _running(place: Place) -> AsyncIterator[dict[str, int]]:
    try:
        await asyncio.gather(*(asyncio.to_thread(up.start_service, place, name) for name in PROCESSES))
        yield {name: record.pid for name in PROCESSES if (record := process.alive(place, name))}
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.stop, place, name) for name in PROCESSES))


async def _settled(base: Fleet) -> None:
    """Waits until the workers have settled all there is; events first, since scores come of them."""
    streams = load().streams
    scorers = streams["EVENTS_HTTP"].members("scorer") if base.has_model else ()
    lanes = [("EVENTS_HTTP", name) for name in ("indexer", "writer", *scorers)]
    if base.has_model:
        lanes += [("SCORES", "indexer"), ("SCORES", "writer")]
    for stream, consumer in lanes:
        await until(partial(_is_done, base, stream, consumer), PATIENCE)


async def _is_done(base: Fleet, stream: str, consumer: str) -> bool:
    info = await base.broker.jetstream.consumer_info(stream, consumer)
    return not info.pending + info.ack_pending
