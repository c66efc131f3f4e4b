"""Redrives on a real server: to the worker that failed, as often as allowed, patched where asked, proven by count."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from penstock.broker import Broker, Keys
from penstock.consume import Drop
from penstock.errors import PenstockError
from penstock.replay.run import BUCKET, Holder, target_key
from penstock.rpc.messages import ReplayPlan, ReplayStatus
from tests.support.broker_rig import Rig, Sink, subject
from tests.support.dead_letters import DeadLetterConsole, fail
from tests.support.records import records_of
from tests.support.replay_console import Console
from tests.support.replay_hosts import Replica
from tests.support.until import until

TILL = subject("till")


@pytest.fixture(scope="module")
async def dead_letters(operator: Rig) -> DeadLetterConsole:
    return DeadLetterConsole(await operator.broker("replayer"))


@pytest.fixture(scope="module")
async def indexer(operator: Rig) -> Broker:
    return await operator.broker("indexer")


@pytest.fixture
async def since(operator: Rig) -> int:
    """The sequence on DLQ of the next dead letter."""
    return await operator.next_sequence("DLQ")


async def planned(console: Console, since: int, **members: Any) -> ReplayPlan:
    """A redrive to the indexer of the dead letters from `since` on."""
    sequences = [{"stream": "DLQ", "first": since}]
    members = {"target": "indexer", "source": "dead_letters", "sequences": sequences, **members}
    return await console.plan(**members)


async def code_of(request: Any) -> str:
    with pytest.raises(PenstockError) as caught:
        await request
    return caught.value.code


async def run(rig: Rig, console: Console, indexer: Broker, sink: Sink, plan: ReplayPlan) -> ReplayStatus:
    """Applies a plan, and waits until it has ended."""
    async with Replica(indexer, sink.handle):
        status = await console.in_state(await console.apply(plan), "done", "failed")
        await until(lambda: none_left(rig))
        await until(lambda: closed(rig, status))
    return status


async def closed(rig: Rig, status: ReplayStatus) -> bool:
    """Whether the operator has marked the dead letters of the run, and freed its target."""
    entry = await Keys(rig.core, BUCKET).get(target_key(status.run.target))
    return Holder.decode(entry.value).run != status.run.id


async def none_left(rig: Rig) -> bool:
    return (await rig.core.jetstream.stream_info("REPLAY")).messages == 0


async def failed(rig: Rig, indexer: Broker, payloads: list[bytes], *, full: int = 1_000_000) -> list[int]:
    """Messages on EVENTS_HTTP which the indexer has dead-lettered; their sequences."""
    sequences = await rig.store(payloads, publisher="till")
    await fail(indexer, TILL, payloads, first=sequences[0], full=full)
    return sequences


async def test_a_redrive_hands_the_original_to_the_worker_that_failed(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    sequences = await failed(operator, indexer, [b'{"n": %d}' % n for n in range(600)])
    writer = await operator.broker("writer")
    await fail(writer, TILL, [b"not the indexer's"], first=sequences[0])
    plan = await planned(console, since)
    assert (plan.effect, plan.dead_letters, plan.counts.total) == ("redrive", 600, 600)
    assert plan.counts.by_publisher == {"till": 600}
    sink = Sink()
    status = await run(operator, console, indexer, sink, plan)
    assert status.run.state == "done", status.run.changes
    assert sorted(each.sequence for each in sink.seen) == sequences
    assert {(each.stream, each.subject) for each in sink.seen} == {("EVENTS_HTTP", TILL)}
    assert {each.data for each in sink.seen} == {b'{"n": %d}' % n for n in range(600)}
    report = await console.report(status.run)
    assert report.holds
    assert report.streams[0].outcomes.confirmed == report.streams[0].planned == 600
    found = await dead_letters.groups(states=["redriven"], sequences=[{"first": since, "last": since + 600}])
    assert [(each.worker, each.dead_letters) for each in found.groups] == [("indexer", 600)]
    assert (await dead_letters.groups(workers=["writer"], codes=["SINK_REFUSED"])).dead_letters == 1


async def test_ranges_are_opened_and_no_message_comes_twice(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    sequences = await operator.store([b"%d" % n for n in range(300)], publisher="till")
    await operator.store([b"another's"] * 3, publisher="shop")
    # Ranges that overlap, dead letters within and without, and two of the same message
    await fail(indexer, TILL, [b"x"] * 200, first=sequences[0], full=0)
    await fail(indexer, TILL, [b"x"] * 100, first=sequences[150], full=0)
    await fail(indexer, TILL, [b"299"], first=sequences[299])
    await fail(indexer, TILL, [b"older"], first=sequences[260])
    await fail(indexer, TILL, [b"newer"], first=sequences[260])
    plan = await planned(console, since)
    assert (plan.dead_letters, plan.counts.total, plan.exact) == (5, 252, True)
    sink = Sink()
    status = await run(operator, console, indexer, sink, plan)
    assert status.run.state == "done", status.run.changes
    expected = [*sequences[:250], sequences[260], sequences[299]]
    assert sorted(each.sequence for each in sink.seen) == expected
    assert {each.data for each in sink.seen if each.sequence == sequences[260]} == {b"newer"}
    assert {each.data for each in sink.seen if each.sequence == sequences[7]} == {b"7"}
    assert (await dead_letters.groups(sequences=[{"first": since, "last": since + 4}])).dead_letters == 0


async def test_a_message_is_redriven_twice_and_then_parked_with_its_history(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    (sequence,) = await failed(operator, indexer, [b"always bad"])
    sink = Sink(lambda _: Drop("SINK_REFUSED", "still no such field"))
    for count in (1, 2):
        status = await run(operator, console, indexer, sink, await planned(console, since))
        assert status.outcomes.parked == 1
        groups = await dead_letters.groups(states=["open", "parked"], sequences=[{"first": since, "last": 1 << 40}])
        assert [(each.dead_letters, each.redrives) for each in groups.groups] == [(1, count)]
    records_of(await operator.stored("DLQ", since))
    assert len(sink.seen) == 2
    last = await dead_letters.show(since + 2)
    assert (last.head.state, last.head.redrives, last.head.origin_sequence) == ("parked", 2, sequence)
    assert [(each.sequence, each.state, each.redrives) for each in last.history] == [
        (since + 1, "redriven", 1),
        (since, "redriven", 0),
    ]
    assert last.head.run == status.run.id
    assert await code_of(planned(console, since)) == "REPLAY_EMPTY"
    assert await code_of(planned(console, since, match={"states": ["parked"]})) == "REPLAY_EMPTY"


async def test_a_patch_changes_what_is_sent_and_not_the_dead_letter(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    big = b'{"level": "warn", "n": 123456789012345678901234567890, "drop": 1}'
    await failed(operator, indexer, [big, b"no json", b'{"level": {"deep": [1]}}'])
    audited = await operator.next_sequence("AUDIT")
    plan = await planned(console, since, patch={"level": "WARN", "drop": None})
    sink = Sink()
    status = await run(operator, console, indexer, sink, plan)
    assert status.run.state == "done"
    assert sorted(sink.payloads) == [b'{"level":"WARN","n":123456789012345678901234567890}', b'{"level":"WARN"}']
    report = await console.report(status.run)
    assert report.holds
    assert (report.streams[0].outcomes.confirmed, report.streams[0].outcomes.filtered) == (2, 1)
    (refusal,) = report.refused
    assert (refusal.dead_letter, refusal.code) == (since + 1, "JSON_INVALID")
    assert (await dead_letters.show(since + 1)).head.state == "open"
    assert (await operator.stored("DLQ", since))[0].data == big
    records = await operator.stored("AUDIT", audited)
    records_of(records)
    said = [orjson.loads(each.data) for each in records]
    assert [each["patch"] for each in said if "patch" in each] == ['{"drop":null,"level":"WARN"}']
    assert {each["patch_digest"] for each in said} == {plan.patch_digest}


async def test_what_changed_since_the_plan_is_not_redriven(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    await failed(operator, indexer, [b"{}"] * 3)
    plan = await planned(console, since)
    await dead_letters.mark("park", sequences=[{"first": since + 1, "last": since + 1}])
    assert await code_of(console.apply(plan)) == "REPLAY_PLAN_CHANGED"
    assert (await planned(console, since)).dead_letters == 2
    assert (await planned(console, since, match={"states": ["parked"]})).dead_letters == 1


async def test_plans_that_cannot_be_are_refused(operator: Rig, console: Console, indexer: Broker, since: int) -> None:
    await failed(operator, indexer, [b"{}"])
    for members, code in (
        ({"reason": " "}, "REPLAY_REASON_MISSING"),
        ({"target": "auditor"}, "REPLAY_UNSUPPORTED"),
        ({"effect": "repair"}, "REPLAY_UNSUPPORTED"),
        ({"sequences": []}, "REPLAY_UNBOUNDED"),
        ({"sequences": [{"stream": "EVENTS_HTTP", "first": 1}]}, "REPLAY_BOUNDS_INVALID"),
        ({"match": {"codes": ["NO_SUCH"]}}, "REPLAY_FILTER_INVALID"),
        ({"match": {"entity": "host-1"}}, "REPLAY_FILTER_INVALID"),
        ({"match": {"publishers": ["nobody"]}}, "REPLAY_EMPTY"),
        ({"patch": {}}, "QUERY_INVALID"),
        ({"patch": {"x": "y" * 20_000}}, "QUERY_INVALID"),
    ):
        assert await code_of(planned(console, since, **members)) == code, members


async def test_dead_letters_of_an_earlier_stream_are_left_out(
    operator: Rig, console: Console, indexer: Broker, since: int
) -> None:
    await fail(indexer, TILL, [b"{}"], first=7)
    (sequence,) = await failed(operator, indexer, [b"{}"])
    plan = await planned(console, since)
    assert (plan.dead_letters, plan.ranges[0].first) == (1, sequence)
    assert any("another EVENTS_HTTP" in warning for warning in plan.warnings)


async def test_a_cancelled_redrive_leaves_open_what_was_not_handled(
    operator: Rig, console: Console, dead_letters: DeadLetterConsole, indexer: Broker, since: int
) -> None:
    sequences = await failed(operator, indexer, [b"{}"] * 40)
    plan = await planned(console, since, rate=20.0)
    sink = Sink()
    async with Replica(indexer, sink.handle):
        started = await console.apply(plan)
        await sink.wait(3)
        await console.change("cancel", started)
        await console.in_state(started, "cancelled")

    async def fewer() -> ReplayPlan | None:
        again = await planned(console, since)
        return again if again.dead_letters < 40 else None

    again = await until(fewer)  # when the leader has closed the run
    report = await console.report(started)
    assert 40 - report.streams[0].outcomes.confirmed <= again.dead_letters <= 37
    async with Replica(indexer, sink.handle):  # drops what the cancelled run left on REPLAY
        status = await console.in_state(await console.apply(again), "done", "failed")
    assert status.run.state == "done"
    assert {each.sequence for each in sink.seen} == set(sequences)
