"""SIGKILL of the operator that leads and of the subscriber: nothing is missed, and nothing counts twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.rpc.messages import ReplayRun
from tests.support.broker_rig import Rig
from tests.support.operators import Operators
from tests.support.replay_console import Console
from tests.support.subscribers import Program, planned
from tests.support.until import until

COUNT, RATE = 1500, 500.0
PAGE = 256  # messages that a new leader may send again


@pytest.fixture(scope="module")
async def operators(rig: Rig) -> AsyncIterator[Operators]:
    operators = Operators(rig)
    for number in range(2):
        operators.start(number)
    yield operators
    for number in range(2):
        operators.end(number)


async def under_way(console: Console, run: ReplayRun, count: int) -> Any:
    async def look() -> Any:
        status = await console.status(run)
        return status if status.outcomes.total >= count else None

    return await until(look)


async def test_operator_and_subscriber_are_killed_in_one_run(operators: Operators) -> None:
    rig = operators.rig
    console = Console(await rig.broker("replayer"))
    info = await rig.core.jetstream.consumer_info("REPLAY", "alerting")
    await rig.core.jetstream.ensure_consumer("REPLAY", info.config | {"ack_wait": 2_000_000_000})
    plan, lines = await planned(rig, console, COUNT, rate=RATE)
    run = await console.apply(plan)
    async with Program(rig) as program:
        await under_way(console, run, COUNT // 10)
        await program.kill()
        await program.start()
        await under_way(console, run, COUNT // 4)
        operators.kill(0)
        status = await console.in_state(run, "done", "failed", bound=60)
        assert status.run.state == "done", status.run.changes
        seen = program.seen
    assert sorted(set(seen)) == lines
    assert len(seen) - len(set(seen)) <= PAGE + 100  # what a leader sends again, and what the program had in hand
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == COUNT
