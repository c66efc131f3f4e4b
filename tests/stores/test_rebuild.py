"""An index of a period, rebuilt from the real Cassandra beside the live one: searches go on, and nothing is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.errors import PenstockError
from penstock.rpc.client import ask
from penstock.rpc.messages import RebuiltIndex, ReplayRun
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.rebuilds import REBUILD, everywhere, rebuild_revision, scores_everywhere, sources
from tests.support.replay_console import Console
from tests.support.runbook import Runbook
from tests.support.searches import searching
from tests.support.until import until

LOGS = "events-logs-2026"
QUESTION = {"datasets": ["logs"]}
LONG = 90.0  # seconds; the machine may be busy


async def behind(client: AsyncElasticsearch, alias: str) -> str:
    """The one index behind an alias."""
    [index] = (await client.indices.get_alias(name=alias)).body
    return str(index)


async def rebuilt(console: Console, **members: Any) -> ReplayRun:
    run = await console.apply(await console.plan(**{**REBUILD, **members}))
    status = await console.in_state(run, "done", "failed", bound=LONG)
    assert status.run.state == "done", status.run.changes
    return status.run


async def changed(console: Console, operation: str, run: ReplayRun) -> RebuiltIndex:
    body = {"run": run.id, "reason": "a test", "by": console.user}
    return RebuiltIndex.model_validate(await console.ask(operation, body))


async def test_an_index_is_rebuilt_under_searches_and_live_traffic_and_rolled_back(
    workers: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    events = await everywhere(workers, [line(f"before {number}", host=f"host_{number % 30}") for number in range(400)])
    await client.indices.refresh(index=LOGS)
    async with searching(await workers.broker("dashboard"), QUESTION) as searches:
        run = await console.apply(await console.plan(**REBUILD))
        live = await everywhere(workers, [line(f"during {number}", host=f"host_{number % 30}") for number in range(60)])
        status = await console.in_state(run, "done", "failed", bound=LONG)
        assert status.run.state == "done", status.run.changes
        assert await behind(client, LOGS) == f"{LOGS}-g2"
        assert (await console.report(run)).holds

        after = await everywhere(workers, [line(f"after {number}") for number in range(20)])
        everything = [*events, *live, *after]
        new = await sources(client, LOGS, everything)
        assert len(new) == 480
        assert await sources(client, f"{LOGS}-beside", everything) == new

        assert (await changed(console, "rollback", status.run)).live == f"{LOGS}-g1"
        assert await sources(client, LOGS, everything) == new
        await until(lambda: searches.totals[-1] == 480, LONG)
        dropped = await changed(console, "discard", status.run)
    assert dropped.beside is None
    assert not await client.indices.exists(index=f"{LOGS}-g2")
    assert not searches.failures
    assert min(searches.totals) >= 400
    assert searches.totals == sorted(searches.totals)


async def test_an_index_deleted_by_mistake_comes_back_from_the_store_alone(
    workers: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    events = await everywhere(workers, [line(f"kept {number}", host=f"host_{number % 30}") for number in range(300)])
    index = await behind(client, LOGS)
    await client.indices.refresh(index=index)
    count = (await client.count(index=LOGS)).body["count"]
    before = await sources(client, LOGS, events)
    await client.indices.delete(index=index)
    # What comes meanwhile has an index made for it, which holds nothing else.
    events += (more := await everywhere(workers, [line(f"meanwhile {number}") for number in range(10)]))
    before |= await sources(client, LOGS, more)
    # What a leader leaves that was killed between making an index and writing down whose it is.
    operator = await workers.broker("operator")
    left, revision = f"{LOGS}-g7", await rebuild_revision(operator, LOGS)
    await ask(operator, "index", "prepare", {"alias": LOGS, "index": left, "revision": revision}, timeout=LONG)

    async with searching(await workers.broker("dashboard"), QUESTION) as searches:
        run = await rebuilt(console)
        assert await sources(client, LOGS, events) == before
        await until(lambda: searches.totals and searches.totals[-1] == count + 10, LONG)
    assert not searches.failures
    assert not await client.indices.exists(index=left)
    with pytest.raises(PenstockError) as caught:
        await console.plan(**REBUILD)
    assert caught.value.code == "CONFLICT"
    await changed(console, "discard", run)
    assert (await changed(console, "discard", run)).beside is None  # again: the answer may have been lost
    with pytest.raises(PenstockError) as caught:
        await changed(console, "rollback", run)
    assert caught.value.code == "NOT_FOUND"


async def test_an_index_of_scores_is_rebuilt_from_the_store_for_its_model_version_alone(
    workers: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    scored = "scored-lines_v3-logs-2026"
    events = await everywhere(workers, [line(f"scored {number}", host=f"host_{number % 30}") for number in range(120)])
    await scores_everywhere(workers, events, version=3)
    await scores_everywhere(workers, events[:50], version=2)
    before = await sources(client, scored, events)
    assert len(before) == 120
    await client.indices.delete(index=await behind(client, scored))

    plan = await console.plan(**{**REBUILD, "match": {"datasets": ["logs"], "models": ["lines_v3"]}})
    assert (plan.counts.total, plan.alias) == (120, scored)
    run = await console.apply(plan)
    more = await everywhere(workers, [line(f"later {number}") for number in range(10)])
    await scores_everywhere(workers, more, version=3)
    status = await console.in_state(run, "done", "failed", bound=LONG)
    assert status.run.state == "done", status.run.changes
    assert (await console.report(run)).holds
    assert await sources(client, scored, events) == before
    assert await sources(client, f"{scored}-beside", more) == await sources(client, scored, more)
    assert len(await sources(client, scored, more)) == 10
    await changed(console, "discard", status.run)


async def test_the_runbook_of_a_lost_index_line_by_line(
    workers: Rig, client: AsyncElasticsearch, tmp_path: Path
) -> None:
    events = await everywhere(workers, [line(f"lost {number}", host=f"host_{number % 30}") for number in range(100)])
    before = await sources(client, LOGS, events)
    await client.indices.delete(index=await behind(client, LOGS))
    book = Runbook(workers.place, tmp_path, "docs/replay.md", "lost index", {"<run>": "lost"})
    await book.run("penstock status", codes=(1,))  # here the workers are none of its processes
    book.hash(json.loads(await book.run("penstock replay plan", "--json"))["hash"])
    await book.run("penstock replay apply", "--run lost", bound=LONG)
    assert await sources(client, LOGS, events) == before
    await book.run("penstock replay report")
    await book.run("penstock replay status")
    assert json.loads(await book.run("penstock replay drop", "--json"))["state"] == "dropped"
    assert book.left == []
