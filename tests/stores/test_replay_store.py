"""Replays from the records in the real Cassandra: everything comes back, exactly as it was, also after kills."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.errors import PenstockError
from penstock.rpc.messages import PlanReplay, ReplayReport
from penstock.services.operator import __main__ as operator_main
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.store_planning import StorePlanner
from tests.support.broker_rig import Rig
from tests.support.deliveries import CONTRACTS, line, sample
from tests.support.rebuilds import everywhere, forget, sources
from tests.support.replay_console import Console
from tests.support.until import until
from tests.support.workers import RunningWorker

LOGS = "events-logs-2026"
TIMES = {"from": "2026-01-01T00:00:00Z"}


async def test_what_is_missing_in_the_index_comes_back_from_the_store_as_it_was(
    workers: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    raws = [line(f'a "quoted" line, {number}', host=f"host_{number % 50}") for number in range(700)]
    events = await everywhere(workers, [*raws, *[sample("load", number) for number in range(40)]])
    logs = events[:700]
    before = await sources(client, LOGS, logs)
    assert len(before) == 700
    await forget(client, LOGS, logs[:400])

    plan = await console.plan("indexer", source="store", time=TIMES, match={"datasets": ["logs"]})
    assert plan.exact
    assert plan.counts.total == 700
    assert plan.counts.by_type == {"log.line.v1": 700}
    assert plan.counts.by_publisher == {"web_shop": 700}
    assert plan.counts.by_day == {"2026-11-01": 700}
    run = await console.apply(plan)
    status = await console.in_state(run, "done", "failed")
    assert status.run.state == "done", status.run.changes
    assert status.outcomes.confirmed == 700
    await client.indices.refresh(index="events-*")
    report = ReplayReport.model_validate(await console.ask("report", {"run": run.id, "verify": 100}))
    assert report.holds
    assert sum(proof.planned for proof in report.streams) == 700
    assert report.sample is not None
    assert report.sample.equal == report.sample.compared > 0
    assert (report.sample.in_store or 0) >= 700
    assert await sources(client, LOGS, logs) == before


async def test_filters_are_applied_by_the_writer(workers: Rig, console: Console) -> None:
    await everywhere(workers, [line(f"one host {number}", host="host_alone") for number in range(30)])
    plan = await console.plan("indexer", source="store", time=TIMES, match={"entity": "host_alone"})
    assert plan.counts.total == 30
    with pytest.raises(PenstockError) as caught:
        await console.plan("indexer", source="store", time=TIMES, match={"publishers": ["nobody"]})
    assert caught.value.code == "REPLAY_EMPTY"
    assert plan.store is not None
    run = await console.apply(plan)
    assert (await console.in_state(run, "done", "failed")).outcomes.total == 30
    for refused, code in (
        ({"target": "writer", "time": TIMES}, "REPLAY_UNSUPPORTED"),
        ({"target": "indexer"}, "REPLAY_UNBOUNDED"),
        ({"target": "indexer", "time": TIMES, "match": {"codes": ["X"]}}, "REPLAY_FILTER_INVALID"),
    ):
        with pytest.raises(PenstockError) as caught:
            await console.plan(source="store", **refused)
        assert caught.value.code == code


async def test_another_operator_goes_on_where_one_was_stopped(
    sinks: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    events = await everywhere(sinks, [line(f"more {number}", host=f"host_{number % 50}") for number in range(600)])
    before = await sources(client, LOGS, events)
    await forget(client, LOGS, events)
    async with RunningWorker(sinks, "operator", operator_main.build):
        plan = await console.plan("indexer", source="store", time=TIMES, match={"datasets": ["logs"]}, rate=200.0)
        run = await console.apply(plan)

        async def begun() -> bool:
            return (await console.status(run)).outcomes.total > 0

        await until(begun, 60)
    async with RunningWorker(sinks, "operator", operator_main.build):
        assert (await console.status(run)).outcomes.total < plan.counts.total
        await console.ask("rate", {"run": run.id, "rate": 50_000.0, "by": console.user})
        status = await console.in_state(run, "done", "failed", bound=60)
    assert status.run.state == "done", status.run.changes
    assert status.outcomes.total == plan.counts.total
    assert await sources(client, LOGS, events) == before


async def test_a_count_that_takes_longer_than_a_request_goes_on_in_the_next(sinks: Rig) -> None:
    await everywhere(sinks, [line(f"many {number}", host=f"host_{number % 50}") for number in range(300)])
    broker = await sinks.broker("operator")
    request: dict[str, Any] = {
        "target": "indexer",
        "source": "store",
        "time": TIMES,
        "match": {"datasets": ["logs"]},
        "reason": "a test",
    }
    whole = await StorePlanner(broker, CONTRACTS, Runs(broker)).plan(PlanReplay.read(request), "ann")
    assert whole.exact
    found, parts = (
        await StorePlanner(broker, CONTRACTS, Runs(broker), seconds=0).plan(PlanReplay.read(request), "ann"),
        1,
    )
    assert (found.exact, found.counts.total < whole.counts.total) == (False, True)
    other = PlanReplay.read({**request, "count": found.count, "match": {"datasets": ["metrics"]}})
    with pytest.raises(PenstockError) as caught:
        await StorePlanner(broker, CONTRACTS, Runs(broker)).plan(other, "ann")
    assert caught.value.code == "CONFLICT"
    while not found.exact:
        planner = StorePlanner(broker, CONTRACTS, Runs(broker), seconds=0)  # another replica
        found, parts = await planner.plan(PlanReplay.read({**request, "count": found.count}), "bob"), parts + 1
    assert found.counts == whole.counts
    assert found.ranges == whole.ranges
    assert found.bytes == whole.bytes
    assert parts > 10
    await broker.drain()
