"""A stream that has dropped its oldest messages: before a plan, between plan and apply, and in the middle of a run."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import Refused
from tests.support.bare_replica import BareReplica
from tests.support.broker_rig import Rig
from tests.support.replay_console import Console, put
from tests.support.until import until

SUBJECTS = ["evt.00.http.till.log.line.v1", "evt.00.http.till.metric.sample.v1"]


async def keep(rig: Rig, messages: int) -> None:
    """Has EVENTS_HTTP drop its oldest, down to so many messages."""
    config = (await rig.core.jetstream.stream_info("EVENTS_HTTP")).config
    await rig.core.jetstream.update_stream(config | {"discard": "old", "max_msgs": messages})
    await rig.core.jetstream.update_stream(config)


def bounds(sequences: list[int]) -> list[dict[str, Any]]:
    return [{"stream": "EVENTS_HTTP", "first": sequences[0], "last": sequences[-1]}]


async def test_a_plan_counts_what_is_left_and_warns(operator: Rig, console: Console) -> None:
    sequences = await put(operator, SUBJECTS * 200)
    await keep(operator, 150)
    plan = await console.plan(sequences=bounds(sequences), match={"types": ["log.line.v1"]})
    assert plan.counts.total == 75
    assert plan.ranges[0].first == sequences[-150]
    assert any(f"250 sequences from {sequences[0]} on" in warning for warning in plan.warnings)
    async with BareReplica(await operator.broker("writer"), "writer") as worker:
        run = await console.apply(plan)
        await console.in_state(run, "done")
    assert len(set(worker.seen)) == 75


async def test_a_plan_whose_messages_are_gone_is_not_applied(operator: Rig, console: Console) -> None:
    sequences = await put(operator, SUBJECTS * 100)
    plan = await console.plan(sequences=bounds(sequences), match={"types": ["log.line.v1"]})
    await keep(operator, 100)
    with pytest.raises(Refused, match="50 of the 100 planned") as caught:
        await console.apply(plan)
    assert caught.value.code == "REPLAY_PLAN_CHANGED"


async def test_a_run_whose_messages_go_has_failed_with_their_number(operator: Rig, console: Console) -> None:
    sequences = await put(operator, SUBJECTS[:1] * 1000)
    await operator.consumer(name="writer")
    plan = await console.plan(sequences=bounds(sequences), rate=100.0)
    async with BareReplica(await operator.broker("writer"), "writer") as worker:
        run = await console.apply(plan)
        await until(lambda: worker.seen)
        await keep(operator, 100)
        await console.change("rate", run, rate=50_000.0)
        status = await console.in_state(run, "failed")
    left = 1000 - len(set(worker.seen))
    assert left > 0
    assert status.run.changes[-1].why.startswith(f"{left} planned messages were dropped by the stream")
    report = await console.report(run)
    assert not report.holds
    assert report.streams[0].missing == left
