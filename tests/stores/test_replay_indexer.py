"""A replay into the real Elasticsearch brings back what is missing, and never puts old data over newer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.consume import Done, Drop
from penstock.events import Event
from penstock.runtime import Worker
from penstock.services.indexer.__main__ import build
from penstock.services.indexer.logic import Indexer
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.deliveries import event_of, line, score_of
from tests.support.processes import Processes
from tests.support.replays import Replays
from tests.support.stored_events import store_events, store_scores
from tests.support.until import until
from tests.support.workers import RunningWorker

SUPERSEDED = Done(unwritten="superseded")
LOGS, SCORED = "events-logs-2026", "scored-lines_v1-logs-2026"


async def found(client: AsyncElasticsearch, event: Event, alias: str = LOGS) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get(index=alias, id=event.key)).body
    return answer


async def test_it_says_what_was_there_already_and_what_is_newer(client: AsyncElasticsearch, indexer: Indexer) -> None:
    older, newer = (event_of(line(text, id="same"), sequence=n) for text, n in (("old", 3), ("new", 4)))
    other = event_of(line("missing"), sequence=5)
    assert await indexer.events([newer]) == [Done()]
    assert await indexer.replayed_events([older, newer, other]) == [SUPERSEDED, Done(), Done()]
    assert (await found(client, newer))["_source"]["event"]["data"]["message"] == "new"
    assert (await found(client, other))["_source"]["event"]["data"]["message"] == "missing"


async def test_an_event_of_an_earlier_stream_is_older_whatever_its_sequence(
    client: AsyncElasticsearch, indexer: Indexer
) -> None:
    newer = replace(event_of(line("new", id="again"), sequence=4), epoch=9)
    earlier = replace(event_of(line("old", id="again"), sequence=40_000), epoch=8)
    assert await indexer.replayed_events([newer]) == [Done()]
    assert await indexer.replayed_events([earlier]) == [SUPERSEDED]
    assert (await found(client, newer))["_version"] == (9 << 48) + 4


async def test_a_score_is_counted_as_an_event_is(client: AsyncElasticsearch, indexer: Indexer) -> None:
    event = event_of(line("scored"), sequence=8)
    again = replace(score_of(event), sequence=7)
    assert await indexer.scores([score_of(event)]) == [Done()]
    assert await indexer.replayed_scores([score_of(event), again]) == [Done(), SUPERSEDED]
    assert (await found(client, event, SCORED))["_version"] == (1 << 48) + 8


async def test_what_the_store_refuses_is_refused_in_a_replay_too(indexer: Indexer) -> None:
    good, poison = (score_of(event_of(line(text))) for text in ("good", "poison"))
    poison = replace(poison, raw=poison.raw.replace(b'"fields":{', b'"fields":"lines","was":{'))
    kept, dropped = await indexer.replayed_scores([good, poison])
    assert kept == Done()
    assert isinstance(dropped, Drop)
    assert dropped.code == "SINK_REFUSED"


@pytest.fixture
async def replays(rig: Rig) -> AsyncIterator[Replays]:
    replays = await Replays(rig).open()
    yield replays
    await replays.close()


@pytest.fixture
async def worker(rig: Rig, client: AsyncElasticsearch, elasticsearch: Processes) -> AsyncIterator[Worker[Place]]:
    """The whole indexer on the rig's streams and the session's node."""
    settings = rig.place.model_copy(update={"elasticsearch_url": elasticsearch.place.elasticsearch})
    async with RunningWorker(rig, "indexer", build, settings=settings) as worker:
        yield worker


async def count(client: AsyncElasticsearch, alias: str, events: list[Event]) -> int:
    await client.indices.refresh(index=alias)
    keys = [event.key for event in events]
    return int((await client.count(index=alias, query={"ids": {"values": keys}})).body["count"])


async def test_a_run_restores_what_is_missing_and_counts_what_is_newer(
    rig: Rig, replays: Replays, worker: Worker[Place], client: AsyncElasticsearch
) -> None:
    events = await store_events(rig, [line(f"line {number}", host=f"host_{number % 7}") for number in range(600)])
    await rig.settled("EVENTS_HTTP", "indexer")
    newer, missing = events[:50], events[100:300]
    version = (30_000 << 48) + 1
    for event in newer:
        await client.index(
            index=LOGS, id=event.key, document={"note": "newer"}, version=version, version_type="external"
        )
    operations = [{"delete": {"_index": LOGS, "_id": event.key}} for event in missing]
    # A deleted document keeps its version for a minute (index.gc_deletes); here it is to be gone.
    await client.indices.put_settings(index=LOGS, settings={"gc_deletes": "0s"})
    await client.bulk(operations=operations, refresh=True)
    assert await count(client, LOGS, events) == 400

    run = await replays.apply(events[0].sequence, events[-1].sequence)
    outcomes = await replays.complete(run)
    assert outcomes["skipped"] == [event.sequence for event in newer]
    assert outcomes["confirmed"] == [event.sequence for event in events[50:]]
    assert not worker.unready_reasons()
    assert await count(client, LOGS, events) == 600
    assert (await found(client, newer[7]))["_source"] == {"note": "newer"}
    assert (await found(client, missing[7]))["_source"]["sequence"] == missing[7].sequence


async def test_a_run_over_the_scores_fills_an_index_that_is_gone(
    rig: Rig, replays: Replays, worker: Worker[Place], client: AsyncElasticsearch
) -> None:
    events = await store_events(rig, [line(f"scored {number}") for number in range(200)])
    sequences = await store_scores(rig, events)
    await rig.settled("SCORES", "indexer")
    for index in (await client.indices.get_alias(name=SCORED)).body:
        await client.indices.delete(index=index)
    run = await replays.apply(sequences[0], sequences[-1], stream="SCORES", source="scores")
    assert await replays.complete(run) == {"confirmed": sequences}
    assert await count(client, SCORED, events) == 200
    await until(lambda: not worker.unready_reasons())
