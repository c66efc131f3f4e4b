"""What is deleted or used up in Elasticsearch under a running indexer is noticed without traffic, and named until it is
whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import META
from penstock.elasticsearch.templates import templates
from penstock.errors import Refused
from penstock.events import Event
from penstock.runtime import Worker
from penstock.services.indexer import __main__ as indexer_main
from penstock.services.operator import __main__ as operator_main
from penstock.services.writer import __main__ as writer_main
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.command import replay
from tests.support.deliveries import CONTRACTS, line, sample
from tests.support.rebuilds import everywhere, sources
from tests.support.replay_console import Console
from tests.support.until import until
from tests.support.workers import RunningWorker

LOGS, SAMPLES = "events-logs-2026", "events-metrics-2026-03"
DECADE = "events-metrics-2010s"  # the alias of the index that its months share
LONG = 90.0  # seconds; the machine may be busy
Indexer = Worker[Any]


@pytest.fixture
async def running(rig: Rig, on_stores: Place) -> AsyncIterator[Indexer]:
    """The indexer, which checks often, beside a writer and an operator."""
    settings = on_stores.model_copy(update={"check_seconds": 0.1})
    async with (
        RunningWorker(rig, "writer", writer_main.build, settings=settings),
        RunningWorker(rig, "indexer", indexer_main.build, settings=settings) as indexer,
        RunningWorker(rig, "operator", operator_main.build),
    ):
        yield indexer


async def test_a_lost_index_is_named_with_the_command_until_it_is_rebuilt(
    running: Indexer, rig: Rig, client: AsyncElasticsearch
) -> None:
    events = await everywhere(rig, [line(f"kept {number}", host=f"host_{number % 30}") for number in range(50)])
    before = await sources(client, LOGS, events)
    await until(lambda: running.notes() == [])

    await client.indices.delete(index=f"{LOGS}-g1")
    [note] = await until(running.notes)
    assert note.startswith(f"the index of {LOGS} is gone: ")
    assert "--effect rebuild --dataset logs --period 2026" in note
    assert running.unready_reasons() == []

    # What comes next has an index made for it, which is not taken for the one that was there.
    more = await everywhere(rig, [line(f"later {number}") for number in range(5)])
    [note] = await until(lambda: [note for note in running.notes() if "in place of one that was deleted" in note])
    assert note.startswith(f"{LOGS}-g1 was made at ")

    period = ("--source", "store", "--effect", "rebuild", "--dataset", "logs", "--period", "2026")
    code, out, errors = await replay(rig, "plan", "indexer", *period, "--reason", "index lost", "--json")
    assert code == 0, errors
    code, _, errors = await replay(rig, "apply", json.loads(out)["hash"], "--run", "lost", "--watch", bound=LONG)
    assert code == 0, errors
    await until(lambda: running.notes() == [])
    assert (await sources(client, LOGS, events)) == before
    assert len(await sources(client, LOGS, more)) == 5
    # Live again after a rollback, the one that was made in between is still incomplete.
    assert (await replay(rig, "rollback", "lost", "--reason", "a test"))[0] == 0
    await until(lambda: any("in place of one" in note for note in running.notes()))
    assert (await replay(rig, "drop", "lost", "--reason", "a test"))[0] == 0


async def test_templates_are_put_again_and_no_index_is_made_without_its_mapping(
    running: Indexer, rig: Rig, client: AsyncElasticsearch
) -> None:
    async def template_names() -> set[str]:
        there = client.options(ignore_status=404)  # there is none at all
        found = await there.indices.get_index_template(name="penstock-*", filter_path="index_templates.name")
        return {each["name"] for each in found.body.get("index_templates", ())}

    # Parts of a first start that is under way are not all of them.
    index_templates = set(templates(CONTRACTS)["index"])
    await until(lambda: _is(template_names, index_templates))
    await client.indices.delete_index_template(name="penstock-*")
    await everywhere(rig, [sample("cpu", 1, time="2026-03-01T00:00:00Z")])
    [mapping] = (await client.indices.get_mapping(index=SAMPLES)).body.values()
    wanted = templates(CONTRACTS)["component"]["penstock-events-metrics"]["template"]["mappings"]
    assert mapping["mappings"]["_meta"][META]["digest"] == wanted["_meta"][META]["digest"]
    assert mapping["mappings"]["dynamic"] == "false"
    await until(lambda: _is(template_names, index_templates))


async def test_a_reserve_of_shards_that_is_reached_is_named_until_there_is_room(
    running: Indexer, client: AsyncElasticsearch
) -> None:
    def noted() -> list[str]:
        return [note for note in running.notes() if note.startswith("INDEX_RESERVE_REACHED: ")]

    shards = (await client.cluster.health()).body["active_shards"]
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": shards + 1})
    try:
        [note] = await until(noted)
    finally:
        await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})
    assert "events of past periods wait" in note
    assert "raise cluster.max_shards_per_node" in note
    assert running.unready_reasons() == []
    await until(lambda: noted() == [])


async def test_an_index_without_a_primary_shard_is_named_and_its_events_wait_for_it(
    running: Indexer, rig: Rig, client: AsyncElasticsearch
) -> None:
    index = "events-metrics-2026-04-g1"
    await client.cluster.put_settings(persistent={"cluster.routing.allocation.enable": "none"})
    try:
        await client.options(ignore_status=404).indices.delete(index=index)
        await client.indices.create(
            index=index, aliases={index.removesuffix("-g1"): {"is_write_index": True}}, wait_for_active_shards="0"
        )
        [note] = await until(lambda: [note for note in running.notes() if "no primary shard" in note])
    finally:
        await client.cluster.put_settings(persistent={"cluster.routing.allocation.enable": None})
    assert note.startswith(f"{index} ")
    await until(lambda: not any("no primary shard" in note for note in running.notes()))
    await everywhere(rig, [sample("cpu", 1, time="2026-04-01T00:00:00Z")])


async def _is(names: Any, every: set[str]) -> bool:
    return bool(await names() == every)


async def test_a_lost_index_that_periods_share_is_rebuilt_for_all_of_them(
    running: Indexer, rig: Rig, client: AsyncElasticsearch
) -> None:
    def at(month: str, number: int) -> bytes:
        return sample("cpu", number, time=f"{month}-01T00:00:00Z", host=f"host_{number}")

    async def documents(events: list[Event]) -> list[Any]:
        docs = [{"_index": names.events_alias("metrics", event.time_ms), "_id": event.key} for event in events]
        return [(doc["_version"], doc["_source"]) for doc in (await client.mget(docs=docs)).body["docs"]]

    async def count() -> int:
        await client.indices.refresh(index="events-metrics")
        return int(
            (await client.count(index="events-metrics", query={"range": {"time": {"lt": "2020"}}})).body["count"]
        )

    def notes() -> list[str]:  # what another test left without its events is named, too
        return [note for note in running.notes() if "events-metrics" in note]

    # A month from the time when each had an index of its own stays in it, whatever becomes of the others.
    own = "events-metrics-2014-03"
    await everywhere(rig, [at("2014-02", 0)])
    await client.indices.create(index=f"{own}-g1", aliases={own: {}, "events-metrics": {}})
    raws = [at(month, number) for number, month in enumerate(["2013-06", "2014-02", "2014-03"] * 4)]
    events = await everywhere(rig, raws)
    before, total = await documents(events), await count()
    assert total == len(raws) + 1
    await until(lambda: notes() == [])

    await client.indices.delete(index=f"{DECADE}-g1")
    [note] = await until(notes)
    assert note.startswith(f"the index of {DECADE} is gone: ")
    assert "--effect rebuild --dataset metrics --period 2010s" in note
    more = await everywhere(rig, [at("2013-06", 100), at("2015-07", 101)])
    await until(lambda: [note for note in notes() if note.startswith(f"{DECADE}-g1 was made at ")])

    console = Console(await rig.broker("replayer"))
    rebuilt = {"source": "store", "effect": "rebuild", "match": {"datasets": ["metrics"]}}
    with pytest.raises(Refused, match="2013-06 shares the index of 2010s"):
        await console.plan("indexer", **rebuilt, period="2013-06")
    run = await console.apply(await console.plan("indexer", **rebuilt, period="2010s"))
    assert (await console.in_state(run, "done", "failed", bound=LONG)).run.state == "done"
    await until(lambda: notes() == [])
    assert (await documents(events), len(await documents(more))) == (before, 2)
    assert await count() == total + 2

    # Both indices are kept current, also for months that had no event before; an event that comes again is no new one.
    latest = await everywhere(rig, [at("2015-07", 102), at("2016-01", 103), *raws[:4]])
    assert await count() == total + 4
    assert [version for version, _ in await documents(latest[2:])] > [version for version, _ in before[:4]]
    assert list((await client.indices.get_alias(name=own)).body) == [f"{own}-g1"]
    change = {"run": run.id, "reason": "a test", "by": console.user}
    assert (await console.ask("rollback", change))["live"] == f"{DECADE}-g1"
    assert len(await documents([*more, *latest])) == 8
    assert list((await client.indices.get_alias(name="events-metrics-2016-01")).body) == [f"{DECADE}-g1"]
    await console.ask("discard", change)
    left = (await client.indices.get(index="events-metrics*")).body
    assert [index for index in left if index.startswith(DECADE)] == [f"{DECADE}-g1"]
    # That one was made after the loss: of what came before, it has what came again; March of 2014 is in its own.
    assert await count() == len([*more, *latest]) - 1 + 4
