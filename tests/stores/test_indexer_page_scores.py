"""Hits show what the model said of them, also where the request was not about it."""

from __future__ import annotations

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.consume import Done
from penstock.errors import Refused, Unavailable
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import LoadedModel, LoadedModels
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.operations import Operations
from tests.stores.conftest import EPOCHS
from tests.stores.test_indexer_queries import embed
from tests.support.deliveries import CONTRACTS, event_of, line, score_of

ALL = RequestCaller("trainer", datasets=frozenset({"*"}))


@pytest.fixture(scope="module")
async def elastic(client: AsyncElasticsearch) -> Elastic:
    """Three lines; two of them are scored, one of these by two versions."""
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    events = [event_of(line(f"line {n}", id=f"score-{n}", time=f"2026-10-0{n + 1}T00:00:00Z")) for n in range(3)]
    scores = [score_of(events[0], score=0.7, version=2), score_of(events[1], score=0.3, version=2)]
    assert set(await indexer.events(events)) == {Done()}
    assert set(await indexer.scores([*scores, score_of(events[0], score=0.9, version=1)])) == {Done()}
    await client.indices.refresh(index="events-logs")
    elastic = Elastic(client)
    await elastic.look()
    return elastic


async def version_2() -> LoadedModels:
    return LoadedModels(models=[LoadedModel(name="lines", version=2, types=["log.line.v1"])])


async def no_scorer() -> LoadedModels:
    raise Unavailable("SERVICE_UNAVAILABLE", "nobody listens")


async def shown(operations: Operations, **body: object) -> list[tuple[float, int] | None]:
    page = await operations.query({"order": "asc", "types": ["log.line.v1"], **body}, ALL)
    anomalies = [hit.get("anomaly") for hit in page["hits"]]
    return [(each["score"], each["model"]["version"]) if each else None for each in anomalies]


@pytest.mark.parametrize("body", [{}, {"text": "line", "sort": "time"}, {"model": "lines"}])
async def test_hits_show_the_active_model_s_score_where_there_is_one(elastic: Elastic, body: dict[str, object]) -> None:
    operations = Operations(CONTRACTS, elastic, ActiveModels(elastic, version_2), embed)
    assert await shown(operations, **body) == [(0.7, 2), (0.3, 2), None]


async def test_without_any_model_there_are_hits_without_scores(client: AsyncElasticsearch, elastic: Elastic) -> None:
    async def other_types() -> LoadedModels:
        return LoadedModels(models=[LoadedModel(name="lines", version=2, types=["metric.sample.v1"])])

    operations = Operations(CONTRACTS, elastic, ActiveModels(elastic, other_types), embed)
    assert await shown(operations) == [None, None, None]
    with pytest.raises(Refused, match="model 'lines' does not score"):
        await shown(operations, model="lines")
    newest = Operations(CONTRACTS, elastic, ActiveModels(elastic, no_scorer), embed)
    assert await shown(newest) == [(0.7, 2), (0.3, 2), None]
