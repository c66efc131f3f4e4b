"""SIGKILL in the middle of a run: it goes on within five seconds where acknowledgements ended, and the sums hold."""

from __future__ import annotations

import time
from typing import Any

import pytest

from penstock.rpc.messages import ReplayPlan, ReplayRun, ReplayStatus
from tests.support.bare_replica import BareReplica
from tests.support.broker_rig import Rig
from tests.support.operators import Operators
from tests.support.replay_console import Console, put
from tests.support.until import until

COUNT, RATE = 3000, 600.0
RESUMED_SECONDS = 5.0


@pytest.fixture
async def console(operators: Operators) -> Console:
    return Console(await operators.rig.broker("replayer"))


async def planned(rig: Rig, console: Console) -> ReplayPlan:
    sequences = await put(rig, ["evt.00.http.till.log.line.v1"] * COUNT)
    await rig.consumer(name="writer")
    bounds = [{"stream": "EVENTS_HTTP", "first": sequences[0], "last": sequences[-1]}]
    return await console.plan(sequences=bounds, rate=RATE)


async def under_way(console: Console, run: ReplayRun) -> ReplayStatus:
    """Waits until a tenth is done."""

    async def look() -> Any:
        status = await console.status(run)
        return status if status.outcomes.total > COUNT / 10 else None

    return await until(look)


async def proven(console: Console, run: ReplayRun) -> None:
    status = await console.in_state(run, "done", "failed", bound=60)
    assert status.run.state == "done", status.run.changes
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == COUNT == report.streams[0].planned


async def test_the_leading_operator_is_killed(operators: Operators, console: Console) -> None:
    broker = await operators.rig.broker("writer")
    async with BareReplica(broker, "writer") as worker:
        run = await console.apply(await planned(operators.rig, console))
        before = await under_way(console, run)
        operators.kill(0)
        killed_at = time.monotonic()

        async def resumed() -> bool:
            return (await console.in_state(run, "running", "done")).at > before.at

        await until(resumed)
        seen = len(worker.seen)
        await until(lambda: len(worker.seen) > seen or len(worker.seen) >= COUNT)
        assert time.monotonic() - killed_at < RESUMED_SECONDS
        operators.start(0)
        await proven(console, run)
    assert len(set(worker.seen)) == COUNT


async def test_a_worker_is_killed(operators: Operators, console: Console) -> None:
    broker = await operators.rig.broker("writer")
    run = await console.apply(await planned(operators.rig, console))
    async with BareReplica(broker, "writer", name="one") as one:
        await under_way(console, run)
    async with BareReplica(broker, "writer", name="two") as two:
        await proven(console, run)
    assert len({*one.seen, *two.seen}) == COUNT


async def test_the_broker_is_killed(operators: Operators, console: Console) -> None:
    broker = await operators.rig.broker("writer")
    async with BareReplica(broker, "writer") as worker:
        run = await console.apply(await planned(operators.rig, console))
        await under_way(console, run)
        operators.rig.processes.kill("nats")
        operators.rig.processes.restart("nats")
        await proven(console, run)
    assert len(set(worker.seen)) == COUNT
