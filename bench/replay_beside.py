"""Live load at 70 % of what the fleet can do: how much later an accepted event is indexed beside a replay.

    alone     the live load and nothing else
    beside    a replay that the operator drives, of all that is stored
    plain     a plain client that writes to Elasticsearch as many documents a second as the replay did, and no replay

They take turns, in every round in another order. `plain` is what the store costs whoever shares its cores; what the
replay costs beyond it is ours.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from itertools import chain
from statistics import mean

from rich.console import Console
from rich.table import Table

from bench.end_to_end import FLEET, SERVERS, WARM_UP, caught_up
from bench.fleet import Fleet
from bench.model import train
from bench.plain_writes import PlainWrites
from bench.watch import cpu_seconds
from penstock.auth.connect import connect_as
from penstock.replay.turns import SMALL
from penstock.rpc.messages import ReplayRun, ReplayStatus
from penstock.stack.probes import percentile, time_stages
from tests.support.replay_console import Console as Operator
from tests.support.until import until

LOAD = 0.7  # of the measured capacity
WHAT = ("alone", "beside", "plain")
PROBES = 30  # a second
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
    slices = Slices(base, Operator(broker), await PlainWrites(base).open(), target, arguments, LOAD * capacity)
    try:
        for number in range(arguments.rounds):
            first = number % len(WHAT)
            for what in (*WHAT[first:], *WHAT[:first]):
                if what != "plain" or slices.replayed:
                    await slices.take(what)
    finally:
        await broker.drain()
    return _figures(slices, capacity, target, console)


class Slices:
    """The stretches of load, and their figures."""

    def __init__(
        self,
        base: Fleet,
        operator: Operator,
        plain: PlainWrites,
        target: str,
        arguments: argparse.Namespace,
        load: float,
    ) -> None:
        self.found: dict[str, list[list[float]]] = {what: [] for what in WHAT}
        self.replayed: list[float] = []  # a second
        self.why: list[str] = []  # what the status says at the end of each
        self.cores: dict[str, list[dict[str, float]]] = {what: [] for what in WHAT}  # that each process used
        self._base = base
        self._operator = operator
        self._plain = plain
        self._target = target
        self._rate: float = arguments.replay_rate
        self._seconds: float = arguments.seconds
        self._load = load
        self._pids = {name: base.pid(name) for name in (*FLEET, *SERVERS)}

    async def take(self, what: str) -> None:
        """One stretch."""
        stop = asyncio.Event()
        run = await _begin(self._operator, self._target, self._rate) if what == "beside" else None
        plain = asyncio.create_task(self._write(stop)) if what == "plain" else None
        before, began = {name: cpu_seconds(pid) for name, pid in self._pids.items()}, time.perf_counter()
        self.found[what].append(await _slice(self._base, self._load, self._seconds))
        took = time.perf_counter() - began
        if run:
            status = await _end(self._operator, run)
            self.replayed.append(status.outcomes.total / took)
            self.why.append(status.why)
        if plain:
            stop.set()
            await plain
        self.cores[what].append({name: (cpu_seconds(pid) - before[name]) / took for name, pid in self._pids.items()})
        await caught_up(self._base)

    async def _write(self, stop: asyncio.Event) -> None:
        await self._plain.write(max(mean(self.replayed), 1.0), SMALL, stop)


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


async def _end(operator: Operator, run: ReplayRun) -> ReplayStatus:
    """Cancels it; how far it was. Raises RuntimeError when it had ended before."""
    status = await operator.status(run)
    if status.run.state != "running":
        raise RuntimeError(f"{run.id} is {status.run.state}: it did not last as long as the load")
    await operator.change("cancel", run)
    await operator.in_state(run, "cancelled")
    return status


def _figures(slices: Slices, capacity: float, target: str, console: Console) -> dict[str, object]:
    pooled = {what: sorted(chain.from_iterable(each)) for what, each in slices.found.items()}
    p50, p99 = ({what: percentile(each, share) for what, each in pooled.items()} for share in (0.5, 0.99))
    growth = {what: p99[what] / p99["alone"] - 1 for what in WHAT[1:]}
    cores = {
        what: {name: mean([each[name] for each in rows]) for name in rows[0]} for what, rows in slices.cores.items()
    }
    table = Table("", "p50 ms", "p99 ms", "cores in use", title=f"accepted to {STAGE}, at {LOAD:.0%} of capacity")
    for what in WHAT:
        table.add_row(what, f"{p50[what]:.0f}", f"{p99[what]:.0f}", f"{sum(cores[what].values()):.2f}")
    console.print(table)
    rates = f"replayed {mean(slices.replayed):,.0f}/s"
    console.print(f"{rates}; p99 grows by {growth['beside']:+.0%}, beside a plain client by {growth['plain']:+.0%}")
    return {
        "target": target,
        "capacity": round(capacity),
        "load": round(LOAD * capacity),
        "probes": {what: len(each) for what, each in pooled.items()},
        "p50_ms": p50,
        "p99_ms": p99,
        "p99_ms_of_slices": {
            what: [round(percentile(sorted(each), 0.99), 1) for each in rows] for what, rows in slices.found.items()
        },
        "p99_growth": {what: round(each, 3) for what, each in growth.items()},
        "replayed_per_second": [round(each) for each in slices.replayed],
        "why": slices.why,
        "cores": {what: {name: round(each, 3) for name, each in row.items()} for what, row in cores.items()},
    }
