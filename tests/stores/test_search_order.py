"""Searches by time at the real Elasticsearch: equal times as sent, page by page, also beside documents of before."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.consume import Done
from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import versioned
from penstock.elasticsearch.templates import templates
from penstock.events import Event
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import LoadedModels, SearchQuery
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.search import cursor
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.operations import Operations
from tests.stores.conftest import EPOCHS
from tests.support.deliveries import CONTRACTS, event_of, line
from tests.support.order import ASCENDING, SECOND, SIZES, all_pages, numbers, steps

ALL = RequestCaller("trainer", datasets=frozenset({"*"}))
COMPONENT = "penstock-events-logs"
NOW, MIXED, OF_BEFORE = "now", "mixed", "of_before"


class Corpus:
    """Three entities: one stored today; one in an index whose first documents are of before; one in an index of before
    that has not been given today's members."""

    def __init__(self, operations: Operations, by_entity: dict[str, list[Event]]) -> None:
        self.operations = operations
        self.by_entity = by_entity

    async def search(self, entity: str, order: str, size: int) -> list[str]:
        """The keys of all hits, over all pages."""
        request = {"entity": entity, "sort": "time", "order": order, "size": size}
        return await all_pages(lambda page: self.operations.query(page, ALL), request, "hits")


async def nothing(*_: Any) -> Any:
    raise AssertionError("no model is asked")


async def no_models() -> LoadedModels:
    """The scorer's answer without a model."""
    return LoadedModels(models=[])


@pytest.fixture(scope="module")
async def corpus(client: AsyncElasticsearch) -> Corpus:
    hours = ("09:59:59", "10:00:00", "10:00:00", "10:00:00", "10:00:01")
    before = [
        event_of(line(f"before {n}", host=MIXED, time=f"2026-11-01T{hour}.0005Z"), sequence=n)
        for n, hour in enumerate(hours, 1)
    ]
    of_before = [
        event_of(line(f"before {n}", host=OF_BEFORE, time="2025-05-01T10:00:00Z"), sequence=n) for n in range(1, 7)
    ]
    now, mixed = steps(NOW, first=20), steps(MIXED, first=40)
    await index_as_before(client, before)
    indices = Indices(client, CONTRACTS)
    await indices.prepare()
    indexer = Indexer(Bulker(client, indices), EPOCHS)
    assert set(await indexer.events([*now, *mixed])) == {Done()}
    await index_as_before(client, of_before)
    await client.indices.refresh(index="events-logs")
    elastic = Elastic(client)
    await elastic.look()
    operations = Operations(CONTRACTS, elastic, ActiveModels(elastic, no_models), nothing)
    return Corpus(operations, {NOW: now, MIXED: [*before, *mixed], OF_BEFORE: of_before})


async def index_as_before(client: AsyncElasticsearch, events: list[Event]) -> None:
    """Into an index as releases made it that sorted by milliseconds only."""
    await Indices(client, CONTRACTS).prepare()
    today = templates(CONTRACTS)["component"][COMPONENT]["template"]["mappings"]
    mapping = copy.deepcopy({name: value for name, value in today.items() if name != "_meta"})
    del mapping["properties"]["sequence"], mapping["properties"]["time"]["fields"]
    [alias] = {names.events_alias("logs", event.time_ms) for event in events}
    index = names.first_index(alias)
    await client.cluster.put_component_template(name=COMPONENT, template={"mappings": versioned(mapping)})
    await client.indices.create(index=index, aliases={alias: {}, names.read_alias(alias): {}})
    await client.cluster.put_component_template(name=COMPONENT, template={"mappings": today})
    indices = Indices(client, CONTRACTS)
    indices.prepared = True  # so it does not extend the index
    assert set(await Indexer(Bulker(client, indices), EPOCHS).events(events)) == {Done()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_equal_times_are_as_sent_and_nanoseconds_sort_within_a_millisecond(
    corpus: Corpus, order: str, size: int
) -> None:
    expected = ASCENDING if order == "asc" else ASCENDING[::-1]
    assert numbers(await corpus.search(NOW, order, size), corpus.by_entity[NOW]) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_documents_of_before_come_first_in_their_millisecond(corpus: Corpus, order: str, size: int) -> None:
    events = corpus.by_entity[MIXED]
    keys = await corpus.search(MIXED, order, size)
    ascending = keys if order == "asc" else keys[::-1]
    same_millisecond = sorted(event.key for event in events[1:4])
    assert ascending[:4] == [events[0].key, *same_millisecond]
    assert numbers(ascending[4:-1], events[5:]) == ASCENDING
    assert ascending[-1] == events[4].key


@pytest.mark.parametrize("size", SIZES)
async def test_an_index_that_was_not_extended_is_sorted_by_key(corpus: Corpus, size: int) -> None:
    keys = await corpus.search(OF_BEFORE, "desc", size)
    assert keys == sorted((event.key for event in corpus.by_entity[OF_BEFORE]), reverse=True)


@pytest.mark.parametrize("size", SIZES)
async def test_pages_go_on_from_one_index_to_the_next(corpus: Corpus, size: int) -> None:
    request = {"datasets": ["logs"], "sort": "time", "size": size}
    keys = await all_pages(lambda page: corpus.operations.query(page, ALL), request, "hits")
    every = [event.key for events in corpus.by_entity.values() for event in events]
    assert sorted(keys) == sorted(every)
    assert keys[-6:] == sorted((event.key for event in corpus.by_entity[OF_BEFORE]), reverse=True)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_cursor_of_before_goes_on_with_its_millisecond(corpus: Corpus, order: str) -> None:
    request = {"entity": NOW, "sort": "time", "order": order}
    query = SearchQuery.read(request)
    middle = corpus.by_entity[NOW][3]
    text = cursor.write(query, [middle.time_ms, middle.key])
    page = await corpus.operations.query({**request, "cursor": text}, ALL)
    expected = ASCENDING if order == "asc" else ASCENDING[::-1]
    assert numbers([hit["key"] for hit in page["hits"]], corpus.by_entity[NOW]) == expected
    assert page["hits"][0]["time"].startswith(SECOND)
