"""A replay to a subscriber, and events, subscribers and runs that are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from penstock.contracts import load, subjects
from penstock.errors import PenstockError, Refused
from penstock.replay.ledger import Ledger
from penstock.replay.run import Change, Holder, Run, run_key, target_key
from penstock.replay.subscriber import Replayed
from penstock.rpc.messages import ReplayPlan
from penstock.services.operator.replay import ordered_reader, subscriber_feed
from penstock.services.operator.replay.counting import Counters
from penstock.services.operator.replay.planning import Planner
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.subscriber_feed import SubscriberFeed
from penstock.services.operator.replay.subscriber_place import Page, Places
from penstock.services.operator.replay.to_subscriber import ToSubscriber
from tests.support.broker_rig import Rig
from tests.support.replay_console import Console
from tests.support.subscribers import as_, planned
from tests.support.until import BOUND, until

FEW = 20


@pytest.fixture
async def runs(operator: Rig) -> Runs:
    return Runs(await operator.broker("operator"))


async def received(rig: Rig, count: int) -> list[int]:
    """The sequences of so many messages, all confirmed."""
    found: list[int] = []
    async with as_(rig, "alerting") as program, asyncio.timeout(BOUND), program.replayed() as events:
        async for each in events:
            each.confirm()
            found.append(each.event.sequence)
            if len(found) == count:
                return found
    return found


async def sent(rig: Rig) -> int:
    """Messages that wait for the subscriber."""
    return (await rig.core.jetstream.consumer_info("REPLAY", "alerting")).pending


async def _drain(events: AsyncIterator[Replayed]) -> None:
    async for _ in events:
        pass


def not_applied(plan: ReplayPlan) -> Run:
    """A run that no leader knows."""
    return Run(
        id=f"t-{plan.hash[:12]}", plan=plan.hash, target=plan.target, source=plan.source, effect=plan.effect,
        state="running", ranges=plan.ranges, planned=plan.counts.total, rate=plan.rate,
        changes=(Change(state="running", at=plan.at, by="ann"),),
    )  # fmt: skip


async def test_an_event_whose_id_is_as_long_as_a_message_holds_up_no_run(operator: Rig, console: Console) -> None:
    subject = subjects.event(3, "nats", "billing", "log.line.v1")
    async with as_(operator, "billing") as billing:
        bad = (await billing.broker.publish(subject, orjson.dumps({"id": "x" * 200_000}))).sequence
    bounds = [{"stream": "EVENTS_NATS", "first": bad, "last": bad}]
    body: dict[str, Any] = {"effect": "deliver", "match": {"types": ["log.line.v1"]}, "sequences": bounds}
    run = await console.apply(await console.plan("alerting", **body))
    async with as_(operator, "alerting") as program, program.replayed() as events:
        waiting = asyncio.create_task(_drain(events))  # parks by itself what is no event
        status = await console.in_state(run, "done", "failed")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (status.run.state, status.outcomes.parked) == ("done", 1), status.run.changes


async def test_what_waits_for_a_silent_subscriber_is_bounded_in_bytes(
    operator: Rig, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber_feed, "MOST_BYTES", 20_000)
    monkeypatch.setattr(ordered_reader, "PAGE_BYTES", 4_000)
    plan, lines = await planned(operator, console, 400)  # of about 250 bytes
    run = await console.apply(plan)

    async def full() -> bool:
        return f"alerting does not fetch: {await sent(operator)} messages" in (await console.status(run)).why

    await until(full)
    assert 50 < await sent(operator) < 150
    assert await received(operator, len(lines)) == lines
    assert (await console.in_state(run, "done", "failed")).outcomes.confirmed == len(lines)


async def test_what_was_sent_by_a_write_whose_answer_was_lost_is_not_sent_again(
    operator: Rig, console: Console, runs: Runs
) -> None:
    plan, lines = await planned(operator, console, FEW)
    run = not_applied(plan)
    places, behind = Places(runs.keys, run.id), Places(runs.keys, run.id)
    feed = SubscriberFeed(runs.broker, load(), run, places)
    await feed.turn(FEW)  # reads, and has no allowance to send
    assert await sent(operator) == 0
    await behind.change(lambda now: now.behind(lines[-1], FEW, Page(1, 0, "EVENTS_NATS", tuple(lines))))
    with pytest.raises(PenstockError):
        await places.change(lambda now: now)
    feed.pace.grant(1000.0)
    await feed.turn(FEW)
    assert await sent(operator) == 0
    assert ((await places.read()).fed, (await places.read()).done) == (FEW, True)


async def test_nothing_is_confirmed_before_all_that_the_subscriber_recorded_is_known(
    operator: Rig, console: Console, runs: Runs
) -> None:
    plan, _ = await planned(operator, console, FEW)
    run, ledger = not_applied(plan), Ledger(plan.ranges)
    supply = ToSubscriber(runs, load(), run)

    async def fed() -> bool:
        supplied = await supply.look(run, ledger)
        assert supplied.pace is not None
        supplied.pace.grant(1000.0)
        return supplied.left == FEW == await sent(operator)

    await until(fed)
    await received(operator, FEW)
    subject = subjects.replay_log("operator", run.id)
    for _ in range(3):
        await supply.look(run, ledger)
    assert not await runs.broker.jetstream.get_many("REPLAY_LOG", subject=subject, sequence=1)
    ledger.complete = True
    for _ in range(2):
        await supply.look(run, ledger)
    assert len(await runs.broker.jetstream.get_many("REPLAY_LOG", subject=subject, sequence=1)) == 1


async def test_a_slow_program_gets_nothing_twice_that_it_had_not_begun(operator: Rig, console: Console) -> None:
    info = await operator.core.jetstream.consumer_info("REPLAY", "alerting")
    await operator.core.jetstream.ensure_consumer("REPLAY", info.config | {"ack_wait": 500_000_000})
    plan, lines = await planned(operator, console, FEW)
    run = await console.apply(plan)

    async def came_again() -> bool:
        return (await operator.core.jetstream.consumer_info("REPLAY", "alerting")).redelivered >= FEW - 1

    found: list[int] = []
    async with as_(operator, "alerting") as program, asyncio.timeout(BOUND), program.replayed() as events:
        async for each in events:
            each.confirm()
            if not found:
                await until(came_again)
            found.append(each.event.sequence)
            if len(found) == FEW:
                # What comes next are the events of another run, and not some of these once more.
                assert (await console.in_state(run, "done", "failed")).outcomes.confirmed == len(lines)
                plan, more = await planned(operator, console, FEW)
                run = await console.apply(plan)
                lines += more
            if len(found) == 2 * FEW:
                break
        await console.in_state(run, "done", "failed")
    await operator.core.jetstream.ensure_consumer("REPLAY", info.config)
    assert found == lines


async def test_a_plan_is_no_right_to_what_the_subscriber_followed_when_it_was_made(
    operator: Rig, console: Console, runs: Runs
) -> None:
    plan, _ = await planned(operator, console, FEW)
    contracts = load()
    alerting = contracts.identities["alerting"]
    await Planner(runs.broker, contracts, Counters(runs.broker)).count_again(plan)
    for follows in ((), ("cloud.audit.v1",)):
        narrower = alerting.model_copy(update={"follows": follows})
        now = replace(contracts, identities={**contracts.identities, "alerting": narrower})
        with pytest.raises(Refused) as caught:
            await Planner(runs.broker, now, Counters(runs.broker)).count_again(plan)
        assert caught.value.code == "REPLAY_RIGHT_MISSING"


async def test_a_run_that_cannot_be_read_keeps_no_other_from_being_driven(
    operator: Rig, console: Console, runs: Runs
) -> None:
    await runs.keys.put(run_key("r-other"), b'{"version": "of another release"}')
    await runs.keys.put(target_key("writer"), Holder("r-other").encode())
    try:
        plan, lines = await planned(operator, console, FEW)
        run = await console.apply(plan)
        assert await received(operator, FEW) == lines
        assert (await console.in_state(run, "done", "failed")).run.state == "done"
    finally:
        await runs.keys.put(target_key("writer"), Holder().encode())
