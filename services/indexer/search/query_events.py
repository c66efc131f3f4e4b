"""SearchQuery → events by relevance, time or anomaly → their records"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.errors import Refused
from penstock.events import key_time_ms
from penstock.rpc.messages import SearchPage, SearchQuery
from penstock.services.indexer.search import cursor, order, query
from penstock.services.indexer.search.anomalies import COUNTED, by_score, next_cursor, total_of
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.hits import SHOWN, Found, with_records
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.scope import Scope, resolve

Json = dict[str, Any]
RANKED_AGAIN = 1000  # of the most relevant events, when anomaly moves events up


async def answer(
    contracts: Contracts, elastic: Elastic, models: ActiveModels, request: SearchQuery, datasets: Collection[str]
) -> SearchPage:
    """One page. Raises Refused, Unavailable."""
    scope = resolve(contracts, datasets, request.datasets, request.types)
    by = request.sort or ("relevance" if request.text is not None else "time")
    if request.boost_anomaly is not None and (by != "relevance" or request.text is None):
        raise Refused("QUERY_INVALID", "boost_anomaly needs `text`, sorted by relevance", pointer="/boost_anomaly")
    wanted = query.build(
        scope,
        "scored" if by == "anomaly" else "events",
        text=request.text,
        entity=request.entity,
        filters=request.filters,
        time=request.time,
    )
    after = None
    if request.cursor is not None:
        after = _after(request, request.cursor, by)
    if request.boost_anomaly:
        return await _boosted(contracts, elastic, models, request, scope, wanted, after)
    if by == "anomaly":
        chosen = await models.of(scope, request.model)
        found, total = await by_score(elastic, scope, chosen, wanted, request.size, request.order, after, {})
    else:
        body = _body(request, scope, wanted, by)
        if after is not None:
            body["search_after"] = after
        result = await elastic.search(_aliases(scope), body)
        found, total = _found(result), total_of(result)
        await _with_scores(elastic, models, request, scope, found)
    hits, covered = await with_records(elastic, contracts, found)
    return SearchPage(hits=hits, total=total, cursor=next_cursor(request, found, covered))


def _after(request: SearchQuery, text: str, by: str) -> list[Any]:
    """The sort values, or the place in the list, that a cursor holds."""
    if by == "time":
        found = cursor.read(request, text, order.VALUES, order.VALUES_BEFORE)
        return order.continued(found, request.order)
    return cursor.read(request, text, ["place"] if request.boost_anomaly else ["score", "key"])


def _body(request: SearchQuery, scope: Scope, wanted: Json, by: str) -> Json:
    by_relevance = [{"_score": {"order": request.order}}, {"key": {"order": request.order}}]
    body: Json = {
        "query": wanted,
        "size": request.size,
        "sort": order.by_time(request.order) if by == "time" else by_relevance,
        "_source": False,
        "track_total_hits": COUNTED,
    }
    if request.text is not None:
        body["highlight"] = query.highlight(scope)
    return body


async def _boosted(
    contracts: Contracts,
    elastic: Elastic,
    models: ActiveModels,
    request: SearchQuery,
    scope: Scope,
    wanted: Json,
    after: list[Any] | None,
) -> SearchPage:
    """The most relevant events, those that are unusual moved up: relevance * (1 + boost * anomaly)."""
    body = _body(request, scope, wanted, "relevance") | {"size": RANKED_AGAIN}
    marks = body.pop("highlight")
    result = await elastic.search(_aliases(scope), body)
    found = _found(result)
    for each, scored in zip(found, await _scores(elastic, models, request, scope, found), strict=True):
        each.scored = scored
        unusual = 0.0 if scored is None else float(scored["score"])
        each.score = (each.score or 0.0) * (1 + (request.boost_anomaly or 0.0) * unusual)
    found.sort(key=lambda each: (each.score, each.key), reverse=request.order == "desc")
    begin = int(after[0]) if after else 0
    page = found[begin : begin + request.size]
    await _mark(elastic, scope, wanted, marks, page)
    hits, covered = await with_records(elastic, contracts, page)
    end = begin + covered
    return SearchPage(
        hits=hits, total=total_of(result), cursor=cursor.write(request, [end]) if end < len(found) else None
    )


async def _with_scores(
    elastic: Elastic, models: ActiveModels, request: SearchQuery, scope: Scope, found: list[Found]
) -> None:
    """Enters what the models said of the events of a page; one multi-get for each model version."""
    try:
        scores = await _scores(elastic, models, request, scope, found)
    except Refused:  # no model scores these types; only who sorts by anomaly needs one
        if request.model is not None:
            raise
        return
    for each, scored in zip(found, scores, strict=True):
        each.scored = scored


async def _scores(
    elastic: Elastic, models: ActiveModels, request: SearchQuery, scope: Scope, found: list[Found]
) -> list[Json | None]:
    """What the models said of these events; the highest score where several did."""
    best: list[Json | None] = [None] * len(found)
    for model in await models.of(scope, request.model):
        places = [
            (names.scored_alias(model.name, model.version, each.dataset, key_time_ms(each.key)), each.key)
            for each in found
        ]
        for number, scored in enumerate(await elastic.get(places, SHOWN)):
            known = best[number]
            if scored is not None and (known is None or scored["score"] > known["score"]):
                best[number] = scored
    return best


async def _mark(elastic: Elastic, scope: Scope, wanted: Json, marks: Json, page: list[Found]) -> None:
    """Highlights for the events of one page only."""
    if not page:
        return
    only = {"bool": {"must": [wanted], "filter": [{"ids": {"values": [each.key for each in page]}}]}}
    body = {"query": only, "size": len(page), "_source": False, "highlight": marks, "track_total_hits": False}
    marked = {each.key: each.highlight for each in _found(await elastic.search(_aliases(scope), body))}
    for each in page:
        each.highlight = marked.get(each.key)


def _aliases(scope: Scope) -> list[str]:
    return [names.events_read(dataset) for dataset in scope.datasets]


def _found(result: Json) -> list[Found]:
    return [
        Found(
            hit["_id"],
            names.dataset_of(hit["_index"]),
            score=hit.get("_score"),
            highlight=_by_name(hit.get("highlight")),
            sort=hit.get("sort", []),
        )
        for hit in result["hits"]["hits"]
    ]


def _by_name(found: dict[str, list[str]] | None) -> dict[str, list[str]] | None:
    """By the name that requests use for a field."""
    return None if found is None else {path.removeprefix("event.data."): texts for path, texts in found.items()}
