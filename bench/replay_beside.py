"""Live load at 70 % of what the fleet can do, in turns alone and beside a replay that the operator drives: how much
later an accepted event is indexed."""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import mean

from rich.console import Console
from rich.table import Table

from bench.end_to_end import FLEET, WARM_UP, caught_up
from bench.fleet import Fleet
from bench.model import train
from penstock.auth.connect import connect_as
from penstock.rpc.messages import ReplayRun
from penstock.stack.probes import percentile, time_stages
from tests.support.replay_console import Console as Operator
from tests.support.until import until

LOAD = 0.7  # of the measured capacity
PAIRS = 3  # of a slice alone and one beside a replay
PROBES = 20  # a second
STAGE = "indexed"
RATE = 5000.0  # what `penstock replay plan` takes unless told otherwise


async def measure(base: Fleet, arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """p50 and p99 from accepted to indexed, alone and beside, and by what the second is larger."""
    target = arguments.workers.split(",")[0]
    await base.start(*FLEET[:3], "ingress_0")
    await base.load(seconds=300, events=WARM_UP // 2, batch=500, connections=4)
    await caught_up(base)
    await train(base, console)
    await base.start(*FLEET)
    await base.load(seconds=300, events=WARM_UP // 2, batch=100, connections=8)
    await caught_up(base)
    capacity = await _capacity(base, arguments.seconds)
    console.print(f"capacity: {capacity:,.0f} events/s")
    broker = await connect_as("replayer", base.place)
    operator = Operator(broker)
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    replayed: list[float] = []
    try:
        for pair in range(PAIRS):
            for what in ("alone", "beside") if pair % 2 == 0 else ("beside", "alone"):
                run = await _begin(operator, target, arguments.replay_rate) if what == "beside" else None
                found[what] += await _slice(base, LOAD * capacity, arguments.seconds)
                if run:
                    replayed.append(await _end(operator, run) / arguments.seconds)
                await caught_up(base)
    finally:
        await broker.drain()
    return _figures(found, replayed, capacity, target, console)


async def _capacity(base: Fleet, seconds: float) -> float:
    """Events a second that every stage keeps up with."""
    before, began = await base.stored(), time.perf_counter()
    await base.load(seconds=seconds, batch=100, connections=8)
    await caught_up(base)
    return (await base.stored() - before) / (time.perf_counter() - began)


async def _slice(base: Fleet, rate: float, seconds: float) -> list[float]:
    """Milliseconds from accepted to indexed of the probes among a load at this rate."""
    url = f"http://127.0.0.1:{base.place.local_port('ingress')}"
    count = int(PROBES * seconds)
    load = asyncio.create_task(base.load(seconds=seconds, batch=20, connections=8, rate=rate))
    waits = await time_stages(url, base.key, count=count, at_once=count, every=seconds / count)
    await load
    return waits[STAGE]


async def _begin(operator: Operator, target: str, rate: float) -> ReplayRun:
    """A run over all that is stored; returns when it goes on."""
    run = await operator.apply(await operator.plan(target, time={"from": "-PT1H"}, rate=rate))

    async def goes_on() -> bool:
        return (await operator.status(run)).outcomes.total > 0

    await until(goes_on)
    return run


async def _end(operator: Operator, run: ReplayRun) -> int:
    """Cancels it; how many messages it had replayed. Raises RuntimeError when it had ended before."""
    status = await operator.status(run)
    if status.run.state != "running":
        raise RuntimeError(f"{run.id} is {status.run.state}: it did not last as long as the load")
    await operator.change("cancel", run)
    await operator.in_state(run, "cancelled")
    return status.outcomes.total


def _figures(
    found: dict[str, list[float]], replayed: list[float], capacity: float, target: str, console: Console
) -> dict[str, object]:
    p50, p99 = ({what: percentile(sorted(each), share) for what, each in found.items()} for share in (0.5, 0.99))
    growth = p99["beside"] / p99["alone"] - 1
    table = Table("", "p50 ms", "p99 ms", "replayed/s", title=f"accepted to {STAGE}, at {LOAD:.0%} of capacity")
    table.add_row("alone", f"{p50['alone']:.0f}", f"{p99['alone']:.0f}", "")
    table.add_row("beside a replay", f"{p50['beside']:.0f}", f"{p99['beside']:.0f}", f"{mean(replayed):,.0f}")
    console.print(table)
    console.print(f"p99 grows by {growth:+.0%}")
    return {
        "target": target,
        "capacity": round(capacity),
        "load": round(LOAD * capacity),
        "probes": {what: len(each) for what, each in found.items()},
        "p50_ms": p50,
        "p99_ms": p99,
        "p99_growth": round(growth, 3),
        "replayed_per_second": [round(each) for each in replayed],
    }
