"""A replay to a subscriber: only what it may follow, to it alone, in order, bounded, and proven by acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import nats
import orjson
import pytest
from structlog.testing import capture_logs

from penstock import Publisher
from penstock.contracts import load
from penstock.errors import PenstockError, Refused
from penstock.events.records import read_record
from penstock.replay.subscriber import Replayed
from penstock.rpc.messages import ReplayPlan, ReplayRun
from tests.support.broker_rig import Rig
from tests.support.command import replay
from tests.support.replay_console import Console
from tests.support.subscribers import as_, planned
from tests.support.until import BOUND, until


@pytest.fixture
async def alerting(operator: Rig) -> AsyncIterator[Publisher]:
    async with as_(operator, "alerting") as program:
        yield program


async def received(program: Publisher, count: int) -> list[Replayed]:
    """So many events, all confirmed."""
    found: list[Replayed] = []
    async with asyncio.timeout(BOUND), program.replayed() as events:
        async for each in events:
            each.confirm()
            found.append(each)
            if len(found) == count:
                break
    return found


async def test_a_run_sends_what_was_planned_in_its_order_and_proves_it(
    operator: Rig, console: Console, alerting: Publisher
) -> None:
    plan, lines = await planned(operator, console)
    assert (plan.counts.total, plan.disk, plan.exact) == (len(lines), 0, True)
    run = await console.apply(plan)
    found = await received(alerting, len(lines))
    assert [each.event.sequence for each in found] == lines
    assert {each.run for each in found} == {run.id}
    assert found[7].event.value["data"] == {"message": "line 7"}
    status = await console.in_state(run, "done", "failed")
    assert (status.run.state, status.outcomes.confirmed) == ("done", len(lines)), status.run.changes
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].planned == len(lines)


async def test_what_the_program_cannot_use_is_counted_as_that(
    operator: Rig, console: Console, alerting: Publisher
) -> None:
    plan, lines = await planned(operator, console, 30)
    run = await console.apply(plan)
    again: set[int] = set()
    async with asyncio.timeout(BOUND), alerting.replayed() as events:
        settled = 0
        async for each in events:
            sequence = each.event.sequence
            if sequence == lines[5] and sequence not in again:
                again.add(sequence)
                each.again(0.01)
                continue
            if sequence in lines[:3]:
                await each.park()
            elif sequence in lines[3:8]:
                await each.skip()
            else:
                each.confirm()
            settled += 1
            if settled == len(lines):
                break
    outcomes = (await console.in_state(run, "done", "failed")).outcomes
    assert (outcomes.parked, outcomes.skipped, outcomes.confirmed) == (3, 5, 22)
    assert (await console.report(run)).holds


async def test_a_condition_that_no_subject_expresses_is_applied_before_sending(
    operator: Rig, console: Console, alerting: Publisher
) -> None:
    plan, lines = await planned(operator, console, 70, match={"types": ["log.line.v1"], "entity": "host-3"})
    run = await console.apply(plan)
    found = await received(alerting, 10)
    assert [each.event.sequence for each in found] == lines[3::7]
    outcomes = (await console.in_state(run, "done", "failed")).outcomes
    assert outcomes.confirmed == 10
    assert outcomes.total == plan.counts.total
    assert (await console.report(run)).holds


async def test_a_plain_nats_client_needs_a_pull_and_an_acknowledgement(operator: Rig, console: Console) -> None:
    plan, lines = await planned(operator, console, 20)
    run = await console.apply(plan)
    seed = operator.place.credentials_folder / "alerting.nk"
    client = await nats.connect(operator.place.nats, nkeys_seed=str(seed), inbox_prefix=b"_INBOX.alerting")
    consumer = await client.jetstream().pull_subscribe_bind(consumer="alerting", stream="REPLAY")
    found: list[Any] = []
    while len(found) < len(lines):
        for message in await consumer.fetch(10, timeout=BOUND):
            found.append(message)
            await message.ack()
    await client.drain()
    for message in found:
        record = read_record(load(), message.subject, message.headers, message.data)
        assert record.type.record == "replayed.v1"
    first = found[0]
    assert first.subject.startswith("replay.alerting.evt.")
    assert first.subject.endswith(".nats.billing.log.line.v1")
    assert first.headers["x-penstock-run"] == run.id
    assert (first.headers["x-penstock-stream"], first.headers["x-penstock-sequence"]) == ("EVENTS_NATS", str(lines[0]))
    assert first.headers["x-penstock-event-id"] == orjson.loads(first.data)["id"]
    assert (await console.in_state(run, "done", "failed")).outcomes.confirmed == len(lines)


@pytest.mark.parametrize(
    ("target", "members", "code", "sentence"),
    [
        ("alerting", {"match": {}}, "REPLAY_RIGHT_MISSING", "alerting does not follow cloud.audit.v1"),
        ("alerting", {"match": {"datasets": ["metrics"]}}, "REPLAY_RIGHT_MISSING", "does not follow metric.sample.v1"),
        ("alerting", {"source": "scores"}, "REPLAY_RIGHT_MISSING", "alerting may follow events, and no scores"),
        ("dashboard", {}, "REPLAY_RIGHT_MISSING", "nothing says that it consumes REPLAY/dashboard"),
        ("billing", {}, "REPLAY_RIGHT_MISSING", "nothing says that it follows events"),
        ("indexer", {}, "REPLAY_UNSUPPORTED", "indexer is a worker, not a subscriber"),
        ("nobody", {}, "REPLAY_UNSUPPORTED", "nobody is no identity"),
        ("alerting", {"effect": None}, "REPLAY_UNSUPPORTED", "name it subscriber:alerting"),
        ("alerting", {"side_effects": True}, "REPLAY_UNSUPPORTED", "only alerting knows"),
        ("alerting", {"source": "store"}, "REPLAY_UNSUPPORTED", "alerting takes no replay of the store"),
        (
            "alerting",
            {"source": "dead_letters", "effect": "redrive"},
            "REPLAY_UNSUPPORTED",
            "takes no dead letters back",
        ),
    ],
)
async def test_a_plan_beyond_the_rights_of_the_subscriber_is_refused(
    console: Console, target: str, members: dict[str, Any], code: str, sentence: str
) -> None:
    body = {"effect": "deliver", "time": {"from": "-PT1H"}, "match": {"types": ["log.line.v1"]}, **members}
    with pytest.raises(PenstockError) as caught:
        await console.plan(target, **{name: value for name, value in body.items() if value is not None})
    assert caught.value.code == code
    assert sentence in caught.value.detail


async def test_a_silent_subscriber_gets_a_bounded_number_and_a_paused_run_sends_none(
    operator: Rig, console: Console, alerting: Publisher
) -> None:
    plan, lines = await planned(operator, console, 450, rate=400.0)
    run = await console.apply(plan)

    async def full() -> bool:
        return "alerting does not fetch: 400 messages" in (await console.status(run)).why

    await until(full)
    await console.change("pause", run)
    before = await operator.core.jetstream.consumer_info("REPLAY", "alerting")
    assert before.pending == 400
    await received(alerting, before.pending)
    await until(lambda: _all_confirmed(console, run, before.pending))
    after = await operator.core.jetstream.consumer_info("REPLAY", "alerting")
    assert (after.pending, after.ack_pending) == (0, 0)
    await console.change("resume", run)
    await received(alerting, len(lines) - before.pending)
    assert (await console.in_state(run, "done", "failed")).outcomes.confirmed == len(lines)


async def _all_confirmed(console: Console, run: Any, count: int) -> bool:
    return (await console.status(run)).outcomes.confirmed == count


async def _applied(console: Console, plan: ReplayPlan) -> ReplayRun | None:
    """The run, once the target is free."""
    try:
        return await console.apply(plan)
    except Refused as error:
        if error.code != "REPLAY_TARGET_BUSY":
            raise
        return None


async def test_what_a_cancelled_run_left_is_taken_back(operator: Rig, console: Console, alerting: Publisher) -> None:
    first, _ = await planned(operator, console, 500)
    run = await console.apply(first)

    async def waiting() -> bool:
        return (await operator.core.jetstream.consumer_info("REPLAY", "alerting")).pending > 100

    await until(waiting)
    await console.change("cancel", run)
    second, lines = await planned(operator, console, 20)
    other = await until(lambda: _applied(console, second))
    found = await received(alerting, len(lines))
    assert {each.run for each in found} == {other.id}
    assert (await console.in_state(other, "done", "failed")).outcomes.confirmed == len(lines)
    cancelled = await console.status(run)
    assert cancelled.outcomes.total == 0


async def test_a_cancelled_run_waits_for_what_its_subscriber_has_in_hand_and_says_so_once(
    operator: Rig, console: Console, alerting: Publisher
) -> None:
    plan, _ = await planned(operator, console, 20)
    run = await console.apply(plan)
    with capture_logs() as logs:
        async with alerting.replayed() as events:
            in_hand = await anext(events)
            await console.change("cancel", run)
            next_plan, lines = await planned(operator, console, 3)
            with pytest.raises(PenstockError, match="being closed"):
                await console.apply(next_plan)
            await until(lambda: any("in hand" in each.get("reason", "") for each in logs))
            in_hand.confirm()
        other = await until(lambda: _applied(console, next_plan))
    waits = [each["reason"] for each in logs if each["event"] == "replay_not_driven" and each["run"] == run.id]
    assert len(waits) == len(set(waits)) >= 1, waits
    await received(alerting, len(lines))
    assert (await console.in_state(other, "done", "failed")).outcomes.confirmed == len(lines)


async def test_the_command_names_a_subscriber_by_a_form_of_its_own(operator: Rig) -> None:
    bounds = ("--since", "1h", "--reason", "a test")
    code, out, errors = await replay(operator, "plan", "subscriber:alerting", "--type", "log.line.v1", *bounds)
    assert code == 0, errors
    assert "deliver events to subscriber:alerting" in out
    code, _, errors = await replay(operator, "plan", "alerting", "--type", "log.line.v1", *bounds)
    assert code == 1
    assert "name it subscriber:alerting" in errors
    code, _, errors = await replay(operator, "plan", "subscriber:indexer", *bounds)
    assert code == 1
    assert "indexer is a worker" in errors
