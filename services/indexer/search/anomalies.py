"""AnomaliesQuery → scores by height → their records"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.rpc.messages import AnomaliesPage, AnomaliesQuery, ModelRef, SearchQuery, Total
from penstock.services.indexer.search import cursor, query
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.hits import SHOWN, Found, with_records
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.scope import Scope, resolve

Json = dict[str, Any]
COUNTED = 10_000  # totals are exact up to here


async def answer(
    contracts: Contracts, elastic: Elastic, models: ActiveModels, request: AnomaliesQuery, datasets: Collection[str]
) -> AnomaliesPage:
    """The most unusual events first. Raises Refused, Unavailable."""
    scope = resolve(contracts, datasets, request.datasets, request.types)
    wanted = query.build(scope, "scored", entity=request.entity, filters=request.filters, time=request.time)
    if request.min_score:
        wanted["bool"].setdefault("filter", []).append({"range": {"score": {"gte": request.min_score}}})
    body: Json = {}
    if request.one_per_pattern:
        body["collapse"] = {"field": "pattern_id"}
    after = None if request.cursor is None else cursor.read(request, request.cursor, ["score", "key"])
    chosen = await models.of(scope, request.model)
    found, total = await by_score(elastic, scope, chosen, wanted, request.size, "desc", after, body)
    hits, covered = await with_records(elastic, contracts, found)
    if request.one_per_pattern:
        return AnomaliesPage(hits=hits)
    return AnomaliesPage(hits=hits, total=total, cursor=next_cursor(request, found, covered))


async def by_score(
    elastic: Elastic,
    scope: Scope,
    models: list[ModelRef],
    wanted: Json,
    size: int,
    order: str,
    after: list[Any] | None,
    more: Json,
) -> tuple[list[Found], Total | None]:
    """Scores that fit a query, by height, then by key."""
    body: Json = {
        "query": wanted,
        "size": size,
        "sort": [{"score": {"order": order}}, {"key": {"order": order}}],
        "_source": list(SHOWN),
        "track_total_hits": COUNTED,
        **more,
    }
    if after is not None:
        body["search_after"] = after
    answer = await elastic.search(scored_aliases(scope, models), body)
    return found_scores(answer), total_of(answer)


def found_scores(answer: Json) -> list[Found]:
    """What a search among scores found."""
    return [
        Found(hit["_id"], hit["_source"]["dataset"], scored=hit["_source"], sort=hit.get("sort", []))
        for hit in answer["hits"]["hits"]
    ]


def scored_aliases(scope: Scope, models: list[ModelRef]) -> list[str]:
    """Where these model versions' scores of the scope are."""
    return [names.scored_read(model.name, model.version, dataset) for model in models for dataset in scope.datasets]


def total_of(answer: Json) -> Total | None:
    """The number of events that fit, as far as it was counted."""
    total = answer["hits"].get("total")
    return None if total is None else Total(value=total["value"], relation=total["relation"])


def next_cursor(request: AnomaliesQuery | SearchQuery, found: list[Found], covered: int) -> str | None:
    """Where the next page begins; None after the last one. `covered` of those found are on this page."""
    if covered == len(found) < request.size:
        return None
    return cursor.write(request, found[covered - 1].sort)
