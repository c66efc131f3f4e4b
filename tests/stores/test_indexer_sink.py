"""Events and scores into the real Elasticsearch: once, whatever happens meanwhile, and nothing is dropped for load."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.consume import Done, Drop, Retry
from penstock.elasticsearch.client import connect_async
from penstock.events.timestamps import parse
from penstock.services.indexer import bulk as bulk_module
from penstock.services.indexer.bulk import Bulker, Line
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer, event_line
from penstock.services.indexer.search.elastic import Elastic
from tests.stores.conftest import EPOCHS, PATIENCE
from tests.support.deliveries import CONTRACTS, event_of, line, sample, score_of
from tests.support.processes import Processes
from tests.support.until import until


async def stored(client: AsyncElasticsearch, alias: str, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get(index=alias, id=key)).body
    return answer


async def test_an_event_is_stored_under_its_key_with_its_record(client: AsyncElasticsearch, indexer: Indexer) -> None:
    event = event_of(line("hello"), sequence=5)
    assert await indexer.events([event]) == [Done()]
    found = await stored(client, "events-logs-2026", event.key)
    assert found["_version"] == (1 << 48) + 5
    assert found["_source"]["event"]["data"]["message"] == "hello"
    assert found["_source"]["sequence"] == 5


async def test_a_waiting_publisher_gets_the_key_in_the_receipt(indexer: Indexer) -> None:
    event = event_of(line("hello"), headers={"x-reply-to": "_INBOX.ingress.1"})
    assert await indexer.events([event]) == [Done({"stage": "indexed", "key": event.key})]


async def test_the_same_message_again_changes_nothing(client: AsyncElasticsearch, indexer: Indexer) -> None:
    event = event_of(line("once"), sequence=9)
    for _ in range(2):
        assert await indexer.events([event, event]) == [Done(), Done()]
    found = await stored(client, "events-logs-2026", event.key)
    assert found["_version"] == (1 << 48) + 9
    assert found["_seq_no"] == (await stored(client, "events-logs-2026", event.key))["_seq_no"]


async def test_an_older_message_that_comes_later_does_not_win(client: AsyncElasticsearch, indexer: Indexer) -> None:
    older, newer = (event_of(line(text, id="same"), sequence=n) for text, n in (("old", 3), ("new", 4)))
    assert older.key == newer.key
    assert await indexer.events([newer]) == [Done()]
    assert await indexer.events([older]) == [Done()]
    assert (await stored(client, "events-logs-2026", newer.key))["_source"]["event"]["data"]["message"] == "new"


def indexer_at(client: AsyncElasticsearch, time: str) -> Indexer:
    """One whose clock stands still, so that it takes periods from then on for current ones."""
    indices = Indices(client, CONTRACTS, clock=lambda: parse(time) / 1e9)
    return Indexer(Bulker(client, indices, patience=PATIENCE), EPOCHS)


async def test_indexers_that_create_one_index_at_the_same_time_all_succeed(
    client: AsyncElasticsearch, elasticsearch: Processes
) -> None:
    clients = [connect_async(elasticsearch.place) for _ in range(4)]
    indexers = [indexer_at(each, "2026-02-01T00:00:00Z") for each in clients]
    batches = [[event_of(sample("cpu", n, time=f"2026-0{1 + n % 3}-01T00:00:00Z"))] for n in range(4)]
    outcomes = await asyncio.gather(*(each.events(batch) for each, batch in zip(indexers, batches, strict=True)))
    for each in clients:
        await each.close()
    assert outcomes == [[Done()]] * 4
    made = await client.indices.get_alias(name="events-metrics")
    assert sorted(made.body) == [f"events-metrics-2026-0{month}-g1" for month in (1, 2, 3)]


async def test_a_search_during_index_creation_never_fails_for_a_missing_shard(
    client: AsyncElasticsearch, indexer: Indexer
) -> None:
    reads, made = Elastic(client), asyncio.Event()
    await reads.look()

    async def searches() -> int:
        answers = 0
        while not made.is_set():
            answers += len(await reads.search(["events-logs"], {"size": 0})) > 0
        return answers

    async with asyncio.TaskGroup() as tasks:
        searchers = [tasks.create_task(searches()) for _ in range(4)]
        for year in range(2003, 2013):
            assert await indexer.events([event_of(line("hello", time=f"{year}-01-01T00:00:00Z"))]) == [Done()]
        made.set()
    assert min(searcher.result() for searcher in searchers) > 0


async def test_an_index_left_without_aliases_by_a_crash_gets_them(client: AsyncElasticsearch, indexer: Indexer) -> None:
    await indexer.events([event_of(line("templates are there"))])
    await client.indices.create(index="events-logs-2002-g1")
    event = event_of(line("hello", time="2002-01-01T00:00:00Z"))
    assert await indexer.events([event]) == [Done()]
    assert "events-logs-2002-g1" in (await client.indices.get_alias(name="events-logs")).body
    assert (await stored(client, "events-logs-2002", event.key))["_index"] == "events-logs-2002-g1"


async def test_an_index_has_the_mapping_of_the_contracts(client: AsyncElasticsearch, indexer: Indexer) -> None:
    await indexer.events([event_of(line("hello", time="2019-01-01T00:00:00Z"))])
    [index] = (await client.indices.get_mapping(index="events-logs-2019")).body.values()
    assert index["mappings"]["dynamic"] == "false"
    assert index["mappings"]["properties"]["event"]["properties"]["data"]["properties"]["pid"]["type"] == "long"


async def test_a_score_is_stored_under_its_event_s_key_and_version(
    client: AsyncElasticsearch, indexer: Indexer
) -> None:
    event = event_of(line("hello"), sequence=12)
    assert await indexer.scores([score_of(event, version=3)]) == [Done()]
    found = await stored(client, "scored-lines_v3-logs-2026", event.key)
    assert found["_version"] == (1 << 48) + 12
    assert found["_source"]["fields"]["message"] == "hello"


async def test_what_the_store_refuses_is_dropped_with_its_reason_and_the_rest_is_kept(indexer: Indexer) -> None:
    scores = [score_of(event_of(line(text))) for text in ("a", "b", "c")]
    poison = replace(scores[1], raw=scores[1].raw.replace(b'"fields":{', b'"fields":"lines","was":{'))
    before, dropped, after = await indexer.scores([scores[0], poison, scores[2]])
    assert (before, after) == (Done(), Done())
    assert isinstance(dropped, Drop)
    assert dropped.code == "SINK_REFUSED"
    assert "document_parsing_exception" in dropped.reason
    assert "lines" not in dropped.reason.partition("document_parsing_exception")[2].replace("[fields]", "")


@pytest.mark.parametrize(
    "block", [{"blocks.write": True}, {"blocks.read_only_allow_delete": True}], ids=["write-block", "full-disk"]
)
async def test_a_read_only_index_makes_events_wait(
    client: AsyncElasticsearch, indexer: Indexer, block: dict[str, bool]
) -> None:
    await indexer.events([event_of(line("first"))])
    await client.indices.put_settings(index="events-logs-2026", settings={"index": block})
    logs, metrics = event_of(line("second")), event_of(sample("cpu", 1.0))
    waiting, done = await indexer.events([logs, metrics])
    assert isinstance(waiting, Retry)
    assert done == Done()
    await client.indices.put_settings(index="events-logs-2026", settings={"index": dict.fromkeys(block, None)})
    assert await indexer.events([logs]) == [Done()]


async def test_a_closed_index_makes_events_wait(client: AsyncElasticsearch, indexer: Indexer) -> None:
    event = event_of(line("hello", time="2018-01-01T00:00:00Z"))
    await indexer.events([event])
    await client.indices.close(index="events-logs-2018")
    again = event_of(line("again", time="2018-01-02T00:00:00Z"))
    [waiting] = await indexer.events([again])
    assert isinstance(waiting, Retry)
    await client.indices.open(index="events-logs-2018", wait_for_active_shards=1)
    assert await indexer.events([again]) == [Done()]


async def test_a_cluster_that_takes_no_more_indices_makes_events_wait(client: AsyncElasticsearch) -> None:
    indexer = indexer_at(client, "2017-01-02T00:00:00Z")
    await indexer.events([event_of(line("first"))])
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": 1})
    event = event_of(line("hello", time="2017-01-01T00:00:00Z"))
    [waiting] = await indexer.events([event])
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})
    assert isinstance(waiting, Retry)
    assert "shards" in waiting.why
    assert await indexer.events([event]) == [Done()]


async def test_the_last_shards_are_for_indices_of_the_present(client: AsyncElasticsearch) -> None:
    indices = Indices(client, CONTRACTS, clock=lambda: parse("2013-07-15T12:00:00Z") / 1e9)
    indexer = Indexer(Bulker(client, indices, patience=PATIENCE), EPOCHS)
    shards = (await client.cluster.health()).body["active_shards"]
    past = event_of(sample("cpu", 1, time="2013-06-01T00:00:00Z"))
    present = event_of(sample("cpu", 2, time="2013-07-01T00:00:00Z"))
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": shards + 1})
    waiting, done = await indexer.events([past, present])
    why = await indices.reserve.reached()
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})
    assert done == Done()
    assert isinstance(waiting, Retry)
    assert waiting.why.startswith("INDEX_RESERVE_REACHED")
    assert f"{shards + 1} of {shards + 1} shards are used" in why
    assert await indexer.events([past]) == [Done()]


async def test_events_of_many_periods_do_not_hold_up_the_others_of_their_batch(
    client: AsyncElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "CREATED_AT_ONCE", 1)
    indexer = indexer_at(client, "2012-01-01T00:00:00Z")
    other = event_of(line("of the present"))
    await indexer.events([other])
    spread = [event_of(sample("cpu", month, time=f"2012-0{month}-01T00:00:00Z")) for month in range(1, 6)]
    left = [*spread, other]
    for month in range(5, 0, -1):
        outcomes = await indexer.events(left)
        assert outcomes[-1] == Done(), "never waits"
        again = [event for event, outcome in zip(left, outcomes, strict=True) if isinstance(outcome, Retry)]
        assert again == spread[: month - 1], "the newest first"
        left = [*again, other]
    await client.indices.refresh(index="events-metrics")
    found = await client.count(index="events-metrics", query={"range": {"time": {"lt": "2013"}}})
    assert found.body["count"] == len(spread)


async def test_a_batch_larger_than_a_request_is_sent_in_parts(
    indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "LARGEST_REQUEST", 4096)
    assert await indexer.events([event_of(line("x" * 500)) for _ in range(50)]) == [Done()] * 50


async def test_a_stopped_node_delays_events_and_loses_none(
    client: AsyncElasticsearch, bulker: Bulker, indexer: Indexer, elasticsearch: Processes
) -> None:
    await indexer.events([event_of(line("first"))])
    batch = [event_of(line(f"line {n}")) for n in range(500)]
    async with elasticsearch.frozen("elasticsearch"):
        waiting = asyncio.create_task(indexer.events(batch))
        await until(lambda: bulker.failure)
        assert not waiting.done()
        assert bulker.limit.width == 1
    assert await waiting == [Done()] * 500
    assert not bulker.failure


async def test_a_killed_node_delays_events_and_loses_none(
    client: AsyncElasticsearch, bulker: Bulker, indexer: Indexer, elasticsearch: Processes
) -> None:
    batch = [event_of(line(f"line {n}")) for n in range(500)]
    first = await indexer.events(batch[:250])
    elasticsearch.kill("elasticsearch")
    waiting = asyncio.create_task(indexer.events(batch))
    await until(lambda: bulker.failure)
    await asyncio.to_thread(elasticsearch.restart, "elasticsearch")
    assert first == [Done()] * 250
    assert await waiting == [Done()] * 500
    await client.indices.refresh(index="events-logs")
    keys = [event.key for event in batch]
    answer = await client.search(index="events-logs", query={"ids": {"values": keys}}, track_total_hits=True, size=0)
    assert answer["hits"]["total"]["value"] == 500


async def test_stopping_while_the_store_is_away_returns_the_events_unacknowledged(
    bulker: Bulker, indexer: Indexer, elasticsearch: Processes
) -> None:
    await indexer.events([event_of(line("first"))])
    async with elasticsearch.frozen("elasticsearch"):
        waiting = asyncio.create_task(indexer.events([event_of(line("second"))]))
        await until(lambda: bulker.failure)
        bulker.stop()
        [outcome] = await asyncio.wait_for(waiting, 10)
    assert isinstance(outcome, Retry)


async def test_a_bulk_request_rejected_as_malformed_drops_no_event(bulker: Bulker) -> None:
    good = event_line(event_of(line("hello")), epoch=1)
    [outcome] = await bulker.send([Line(good.alias, b'{"index":{"_unknown":1}}\n{}\n')])
    assert isinstance(outcome, Retry)
