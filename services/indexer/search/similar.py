"""SimilarQuery → vector → nearest scores of one model version → their records"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from penstock.contracts import Contracts, EventType
from penstock.elasticsearch import names
from penstock.errors import Refused
from penstock.rpc.messages import Embedding, ModelRef, SimilarPage, SimilarQuery
from penstock.scoring import vectors
from penstock.services.indexer.search import query
from penstock.services.indexer.search.anomalies import found_scores
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.hits import SHOWN, Found, with_records
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.scope import Scope, resolve

Json = dict[str, Any]
Embed = Callable[[str, str], Awaitable[Embedding]]  # text, event type
MOST_ROUNDS = 8  # searches for events of further patterns
PER_ROUND = 500  # nearest events of a round


async def answer(
    contracts: Contracts,
    elastic: Elastic,
    models: ActiveModels,
    embed: Embed,
    request: SimilarQuery,
    datasets: Collection[str],
) -> SimilarPage:
    """Nearest first. Raises Refused, Unavailable."""
    scope = resolve(contracts, datasets, request.datasets, request.types)
    if request.key is not None:
        readable = resolve(contracts, datasets, None, None)  # the event itself may lie outside of what is looked for
        vector, model = await _vector_of(elastic, readable, await models.of(readable), request.key)
    elif request.text is not None:
        embedding = await embed(request.text, text_type(scope).type)
        vector, model = vectors.from_text(embedding.vector), embedding.model
    else:
        raise Refused("QUERY_INVALID", "give one of `key` and `text`")
    wanted = query.build(scope, "scored", time=request.time)
    if request.key is not None:
        wanted["bool"].setdefault("must_not", []).append({"ids": {"values": [request.key]}})
    aliases = [names.scored_read(model.name, model.version, dataset) for dataset in scope.datasets]
    nearest = _by_pattern if request.one_per_pattern else _nearest
    found = await nearest(elastic, aliases, list(vector), wanted, request.size)
    hits, _ = await with_records(elastic, contracts, found)
    return SimilarPage(hits=hits, model=model)


def text_type(scope: Scope) -> EventType:
    """The type that a text is embedded as: the one in scope that is most like a plain text, with the fewest text
    members (but at least one, where there is such a type). The order of the request's types does not matter."""
    return min(scope.types, key=lambda event_type: (len(event_type.score.text) or sys.maxsize, event_type.type))


async def _vector_of(
    elastic: Elastic, scope: Scope, models: list[ModelRef], key: str
) -> tuple[tuple[float, ...], ModelRef]:
    """The vector that an active model gave to the event. Raises Refused NOT_FOUND."""
    for model in models:
        body = {"query": {"ids": {"values": [key]}}, "size": 1, "_source": ["model"], "fields": ["vector"]}
        aliases = [names.scored_read(model.name, model.version, dataset) for dataset in scope.datasets]
        for hit in (await elastic.search(aliases, body))["hits"]["hits"]:
            return tuple(hit["fields"]["vector"]), ModelRef.model_validate(hit["_source"]["model"])
    raise Refused("NOT_FOUND", f"no active model has scored an event {key}", pointer="/key")


async def _nearest(elastic: Elastic, aliases: list[str], vector: list[float], wanted: Json, size: int) -> list[Found]:
    body = {"knn": _knn(vector, wanted, size), "size": size, "_source": list(SHOWN)}
    return _likeness(await elastic.search(aliases, body))


async def _by_pattern(
    elastic: Elastic, aliases: list[str], vector: list[float], wanted: Json, size: int
) -> list[Found]:
    """One event per pattern. A frequent pattern can fill a whole round, so its likes are left out of the next."""
    found: list[Found] = []
    patterns: list[str] = []
    for _ in range(MOST_ROUNDS):
        without = {"bool": {"filter": [wanted], "must_not": [{"terms": {"pattern_id": patterns}}]}}
        body = {
            "knn": _knn(vector, without, PER_ROUND),
            "collapse": {"field": "pattern_id"},
            "size": size - len(found),
            "_source": list(SHOWN),
        }
        more = _likeness(await elastic.search(aliases, body))
        found += more
        patterns += [each.scored["pattern_id"] for each in more if each.scored]
        if not more or len(found) >= size:
            break
    return found


def _knn(vector: list[float], wanted: Json, size: int) -> Json:
    return {
        "field": "vector",
        "query_vector": vector,
        "k": size,
        "num_candidates": max(size, 100),
        "filter": wanted,
        # The index compares in 8 bits; the nearest are compared again in full.
        "rescore_vector": {"oversample": 3.0},
    }


def _likeness(answer: Json) -> list[Found]:
    """The hits with the cosine as likeness; Elasticsearch's score is (1 + cosine) / 2."""
    found = found_scores(answer)
    for each, hit in zip(found, answer["hits"]["hits"], strict=True):
        each.score = round(min(2 * hit["_score"] - 1, 1.0), 6)
    return found
