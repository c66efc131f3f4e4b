"""Runs on a real server: what was planned is delivered, once in the sums, and the states, targets and rates hold."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from penstock.broker import Keys
from penstock.errors import PenstockError
from penstock.replay.outcomes import Kind
from penstock.replay.plan import plan_key
from penstock.replay.run import BUCKET
from penstock.rpc.messages import ReplayPlan, ReplayRun
from penstock.services.operator.replay import counting
from tests.support.bare_replica import BareReplica
from tests.support.broker_rig import Rig
from tests.support.records import records_of
from tests.support.replay_console import Console, put
from tests.support.until import until

SUBJECT = "evt.00.http.till.log.line.v1"


async def planned(rig: Rig, console: Console, count: int = 300, **members: Any) -> ReplayPlan:
    """A plan for new messages on EVENTS_HTTP, which the live writer has handled."""
    sequences = await put(rig, [SUBJECT] * count)
    await rig.consumer(name="writer")
    bounds = [{"stream": "EVENTS_HTTP", "first": sequences[0], "last": sequences[-1]}]
    return await console.plan(sequences=bounds, **members)


async def code_of(request: Any) -> str:
    with pytest.raises(PenstockError) as caught:
        await request
    return caught.value.code


async def consumers(rig: Rig, stream: str = "EVENTS_HTTP") -> list[str]:
    names = (await rig.core.jetstream.api(f"CONSUMER.NAMES.{stream}", {})).get("consumers") or []
    return [name for name in names if name.startswith("replay_")]


async def ended(rig: Rig, console: Console, run: ReplayRun) -> None:
    """Cancels a run, and waits until its target is free and its consumers are gone."""
    await console.change("cancel", run)

    async def free() -> bool:
        holder = orjson.loads((await Keys(rig.core, BUCKET).get(f"target.{run.target}")).value)
        return bool(holder["run"] != run.id)

    await until(free)


async def test_a_run_delivers_what_was_planned_and_proves_it(operator: Rig, console: Console) -> None:
    """Also a filtered one, and with live traffic behind its end; of it nothing is counted."""
    types = ["log.line.v1", "metric.sample.v1"]
    mixed = [f"evt.{pp:02x}.http.till.{type}" for pp in range(64) for type in types for _ in range(3)]
    sequences = await put(operator, mixed)
    bounds = [{"stream": "EVENTS_HTTP", "first": sequences[0], "last": sequences[-1]}]
    plan = await console.plan(sequences=bounds, match={"types": [types[0]]})
    assert plan.counts.total == 64 * 3
    done = asyncio.Event()

    async def live() -> None:
        while not done.is_set():
            await put(operator, mixed[:20])

    traffic = asyncio.create_task(live())
    kinds: tuple[Kind, ...] = ("confirmed", "skipped", "parked")
    worker = BareReplica(
        await operator.broker("writer"), "writer", decide=lambda delivery: kinds[delivery.sequence % 3]
    )
    async with worker:
        run = await console.apply(plan)
        assert run.id == f"r-{plan.hash[:12]}"
        status = await console.in_state(run, "done", "failed")
    done.set()
    await traffic
    expected = [sequence for sequence, subject in zip(sequences, mixed, strict=True) if subject.endswith(types[0])]
    assert status.run.state == "done", status.run.changes
    assert sorted(sequence for _, sequence in worker.seen) == expected
    assert status.outcomes.total == len(expected)
    report = await console.report(run)
    assert report.holds
    assert report.streams[0].planned == len(expected)
    assert report.streams[0].outcomes.skipped == sum(sequence % 3 == 1 for sequence in expected)
    assert await until(lambda: _none_left(operator))


async def _none_left(rig: Rig) -> bool:
    return not await consumers(rig)


async def test_a_run_of_both_streams_and_two_replicas(operator: Rig, console: Console) -> None:
    http = await put(operator, [SUBJECT] * 300)
    nats = await put(operator, ["evt.00.nats.billing.log.line.v1"] * 200)
    bounds = [
        {"stream": "EVENTS_HTTP", "first": http[0], "last": http[-1]},
        {"stream": "EVENTS_NATS", "first": nats[0], "last": nats[-1]},
    ]
    broker = await operator.broker("writer")
    async with BareReplica(broker, "writer", name="one") as one, BareReplica(broker, "writer", name="two") as two:
        run = await console.apply(await console.plan(sequences=bounds))
        status = await console.in_state(run, "done")
    assert sorted(one.seen + two.seen) == [("EVENTS_HTTP", n) for n in http] + [("EVENTS_NATS", n) for n in nats]
    assert status.outcomes.confirmed == 500
    assert (await console.report(run)).holds


async def test_the_same_run_again_is_the_same_run(operator: Rig, console: Console) -> None:
    plan = await planned(operator, console)
    first = await console.apply(plan, "nightly-1")
    again = await console.apply(plan, "nightly-1")
    assert again.id == first.id
    other = await planned(operator, console)
    assert await code_of(console.apply(other, "nightly-1")) == "CONFLICT"
    await ended(operator, console, first)
    assert (await console.apply(plan, "nightly-1")).state == "cancelled"


async def test_one_run_a_target(operator: Rig, console: Console) -> None:
    first = await console.apply(await planned(operator, console))
    plan = await planned(operator, console)
    with pytest.raises(PenstockError, match=first.id) as caught:
        await console.apply(plan)
    assert caught.value.code == "REPLAY_TARGET_BUSY"
    elsewhere = await console.apply(await planned(operator, console, target="indexer"))
    await ended(operator, console, elsewhere)
    await ended(operator, console, first)
    second = await console.apply(plan)
    slots = [(await console.in_state(run, "running", "cancelled")).run.ranges[0].consumer for run in (first, second)]
    assert sorted(slots) == ["replay_writer_a", "replay_writer_b"]
    await ended(operator, console, second)


async def test_two_at_once_get_one_target(operator: Rig, console: Console) -> None:
    plans = [await planned(operator, console) for _ in range(4)]
    answers = await asyncio.gather(*(console.apply(plan) for plan in plans), return_exceptions=True)
    (won,) = [answer for answer in answers if isinstance(answer, ReplayRun)]
    assert [answer.code for answer in answers if isinstance(answer, PenstockError)] == ["REPLAY_TARGET_BUSY"] * 3
    await ended(operator, console, won)


async def test_pause_resume_rate_and_cancel(operator: Rig, console: Console) -> None:
    plan = await planned(operator, console, 2000, rate=50.0)
    broker = await operator.broker("writer")
    async with BareReplica(broker, "writer") as worker:
        run = await console.apply(plan)
        await console.in_state(run, "running")
        await until(lambda: worker.seen)
        paused = await console.change("pause", run, reason="look first")
        assert (paused.state, paused.changes[-1].by, paused.changes[-1].why) == ("paused", "ann", "look first")
        stopped = await until(lambda: _explained(console, run, "paused: look first"))
        assert stopped.allowed == 0
        assert (await console.change("pause", run)).state == "paused"
        await console.change("rate", run, rate=20_000.0)
        await console.change("resume", run)
        status = await console.in_state(run, "done")
        assert status.run.rate == 20_000.0
    assert len(set(worker.seen)) == 2000
    assert await code_of(console.change("cancel", run)) == "CONFLICT"
    assert await code_of(console.change("rate", run, rate=5.0)) == "CONFLICT"


async def _explained(console: Console, run: ReplayRun, why: str) -> Any:
    status = await console.status(run)
    return status if status.why.startswith(why) else None


async def test_a_run_brakes_for_live_traffic_and_says_so(operator: Rig, console: Console) -> None:
    plan = await planned(operator, console, 3000, rate=1000.0)
    broker = await operator.broker("writer")
    async with BareReplica(broker, "writer") as worker:
        worker.live_behind = 9.0
        run = await console.apply(plan)
        status = await until(lambda: _explained(console, run, "braked: live writer is 9.0 s behind"))
        status = await until(lambda: _stopped(console, run))
        before = status.outcomes.total
        assert before < 3000
        worker.live_behind = 0.0
        await console.in_state(run, "done")


async def _stopped(console: Console, run: ReplayRun) -> Any:
    status = await console.status(run)
    return status if status.allowed == 0 else None


async def test_without_a_worker_the_status_says_so(operator: Rig, console: Console) -> None:
    run = await console.apply(await planned(operator, console))
    await until(lambda: _explained(console, run, "no replica of writer reports"))
    await ended(operator, console, run)


async def test_the_hash_binds(operator: Rig, console: Console) -> None:
    plan = await planned(operator, console)
    body = plan.model_copy(update={"rate": 1.0}).to_json()
    changed = {**body, "hash": plan.hash}
    keys = Keys(await operator.broker("operator"), BUCKET)
    await keys.put(plan_key(plan.hash), orjson.dumps(changed))
    assert await code_of(console.apply(plan)) == "REPLAY_PLAN_CHANGED"
    unknown = plan.model_copy(update={"hash": "0" * 64})
    assert await code_of(console.apply(unknown)) == "NOT_FOUND"


async def test_a_count_that_is_at_least_starts_nothing(
    operator: Rig, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BRACKETS", 0)
    plan = await planned(operator, console)
    assert not plan.exact
    assert await code_of(console.apply(plan)) == "REPLAY_INCOMPLETE"


async def test_transitions_are_on_the_audit_trail_before_they_happen(operator: Rig, console: Console) -> None:
    first = await operator.next_sequence("AUDIT")
    run = await console.apply(await planned(operator, console))
    await console.in_state(run, "running")
    await console.change("pause", run, reason="wait")
    await console.change("resume", run, reason="go")
    await ended(operator, console, run)
    records = [m for m in await operator.stored("AUDIT", first) if m.subject.startswith("audit.operator.replay_")]
    assert {each.type.record for each in records_of(records)} == {"audit.replay_planned.v1", "audit.replay_run.v1"}
    said = [(m.subject.rpartition("replay_")[2], orjson.loads(m.data)["actor"]) for m in records]
    words = ["planned", "applied", "running", "paused", "running", "cancelled"]
    assert said == [(word, "ann") for word in words]
    assert [orjson.loads(m.data)["reason"] for m in records][3:5] == ["wait", "go"]
