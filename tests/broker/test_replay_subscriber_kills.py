"""SIGKILL of the operator that leads, the subscriber and NATS: nothing is missed, and nothing counts twice."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.errors import Unavailable
from penstock.rpc.messages import ReplayRun
from tests.support.operators import Operators
from tests.support.replay_console import Console
from tests.support.subscribers import Program, planned
from tests.support.until import until

COUNT, RATE = 1500, 500.0
PAGE = 256  # messages that a new leader may send again


async def under_way(console: Console, run: ReplayRun, count: int) -> Any:
    async def look() -> Any:
        try:
            status = await console.status(run)
        except Unavailable:
            return None
        return status if status.outcomes.total >= count else None

    return await until(look)


async def test_subscriber_operator_and_broker_are_killed_in_one_run(operators: Operators) -> None:
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
        await under_way(console, run, COUNT // 2)
        again = len(program.seen) - len(set(program.seen))
        rig.processes.kill("nats")
        await asyncio.to_thread(rig.processes.restart, "nats")
        status = await console.in_state(run, "done", "failed", bound=60)
        assert status.run.state == "done", status.run.changes
        seen = program.seen
    assert sorted(set(seen)) == lines
    assert again <= PAGE + 100  # what a leader sends again, and what the program had in hand
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == COUNT
