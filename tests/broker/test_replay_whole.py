"""The real operator and a whole worker, each killed at a random moment of a run: done, and every message proven."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.rpc.messages import ReplayRun, ReplayStatus
from tests.support.broker_rig import Rig
from tests.support.operators import Operators, two_operators
from tests.support.replay_console import Console
from tests.support.sample_process import Sample, start_sample
from tests.support.until import until

COUNT, RATE, KILLS = 6000, 1500.0, 4


@pytest.fixture
def operators(rig: Rig) -> Iterator[Operators]:
    with two_operators(rig) as operators:
        yield operators


async def some_more(console: Console, run: ReplayRun, messages: int) -> ReplayStatus:
    """Waits until the run has so many more outcomes, or is over."""
    before = (await console.in_state(run, "running", "done", "failed")).outcomes.total

    async def look() -> ReplayStatus | None:
        status = await console.in_state(run, "running", "done", "failed")
        return status if status.run.state != "running" or status.outcomes.total >= before + messages else None

    return await until(look, 40.0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_killed_the_run_is_done_and_its_sum_holds(
    rig: Rig, operators: Operators, tmp_path: Path, seed: int
) -> None:
    chosen = random.Random(seed)
    *stored, _ = await rig.store([b"%d" % number for number in range(COUNT + 1)])
    await rig.consumer()
    console = Console(await rig.broker("replayer"))
    bounds = [{"stream": "EVENTS_HTTP", "first": stored[0], "last": stored[-1]}]
    plan = await console.plan("indexer", sequences=bounds, rate=RATE)
    assert plan.counts.total == COUNT
    worker = await start_sample(rig, tmp_path)
    await worker.ready()
    run = await console.apply(plan)
    for _ in range(KILLS):
        if (await some_more(console, run, chosen.randrange(50, 800))).run.state != "running":
            break
        worker = await kill(chosen.choice(["worker", "operator", "nats"]), rig, operators, worker)
    status = await console.in_state(run, "done", "failed", bound=60.0)
    assert status.run.state == "done", status.run.changes
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == COUNT
    assert set(worker.handled()) == {str(number) for number in range(COUNT)}
    assert (await worker.end())[0] == 0


async def kill(victim: str, rig: Rig, operators: Operators, worker: Sample) -> Sample:
    """Kills it and starts it again; the worker that runs afterwards."""
    if victim == "worker":
        await worker.end(signal.SIGKILL)
        return await start_sample(rig, worker.folder)
    if victim == "nats":
        rig.processes.kill("nats")
        await asyncio.to_thread(rig.processes.restart, "nats")
    else:
        number = random.Random(len(worker.handled())).randrange(2)
        operators.kill(number)
        await asyncio.to_thread(operators.start, number)
    return worker
