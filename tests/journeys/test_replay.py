"""Replays on the whole stack: planned, run beside live traffic by the real workers, killed in the middle, proven."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from penstock.broker import Broker
from penstock.events import timestamps
from penstock.rpc.messages import ReplayReport
from tests.support.full_stack import FullStack
from tests.support.replay_console import Console

BOUND = 120.0
TARGETS = ("indexer", "writer", "scorer")


@pytest.fixture
async def console(full_stack: FullStack) -> AsyncIterator[Console]:
    broker = await Broker.connect(full_stack.place.nats, "replayer", full_stack.place.credentials_folder)
    yield Console(broker)
    await broker.drain()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
async def test_all_events_are_replayed_beside_live_traffic_and_change_nothing(
    full_stack: FullStack, console: Console, target: str
) -> None:
    began = timestamps.text(time.time_ns())  # what other journeys had dead-lettered before would be so again
    async with full_stack.senders(gap=0.1) as senders:
        await senders.more(300)
        plan = await console.plan(target, time={"from": began}, rate=2000.0)
        run = await console.apply(plan)
        await senders.more(100)
        status = await console.in_state(run, "done", "failed", bound=BOUND)
    assert status.run.state == "done", status.run.changes[-1]
    verify = 0 if target == "scorer" else 200
    body = {"run": run.id, "verify": verify}
    report = ReplayReport.model_validate(await console.ask("report", body))
    assert report.holds, report
    assert sum(proof.outcomes.confirmed for proof in report.streams) == plan.counts.total
    if verify:
        assert report.sample is not None
        assert report.sample.compared == report.sample.equal > 100
    await full_stack.assert_complete()


@pytest.mark.timeout(600)
async def test_a_run_survives_what_carries_it_out(full_stack: FullStack, console: Console) -> None:
    began = timestamps.text(time.time_ns())
    async with full_stack.senders(gap=0.1) as senders:
        await senders.more(300)
    plan = await console.plan("writer", time={"from": began}, rate=20.0)
    run = await console.apply(plan)
    await console.in_state(run, "running", bound=BOUND)
    for name in ("writer_0", "operator_0", "nats"):
        before = (await console.status(run)).outcomes.total
        await full_stack.down(name)
        await full_stack.again(name)

        async def goes_on(before: int = before) -> bool:
            status = await console.in_state(run, "running", "done", bound=BOUND)
            return status.outcomes.total > before or status.run.state == "done"

        async with asyncio.timeout(BOUND):
            while not await goes_on():
                pass
    await console.change("rate", run, rate=5000.0)
    status = await console.in_state(run, "done", "failed", bound=BOUND)
    assert status.run.state == "done", status.run.changes[-1]
    report = ReplayReport.model_validate(await console.ask("report", {"run": run.id, "verify": 200}))
    assert report.holds, report
    await full_stack.assert_complete()
