"""svc.search.{query,similar,anomalies,count} → Elasticsearch → hits with their records

Each operation checks its request again, looks only into datasets granted to whoever asks, and answers with a page.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeVar

from penstock.contracts import Contracts
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import (
    AnomaliesPage,
    AnomaliesQuery,
    CountQuery,
    Counts,
    Request,
    SearchPage,
    SearchQuery,
    SimilarPage,
    SimilarQuery,
)
from penstock.services.indexer.search import anomalies, count, query_events, similar
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels

Json = dict[str, Any]
Q = TypeVar("Q", bound=Request)


class Operations:
    """The operations of svc.search. `embed` asks a scorer for the vector of a text as one event type."""

    def __init__(self, contracts: Contracts, elastic: Elastic, models: ActiveModels, embed: similar.Embed) -> None:
        self._contracts = contracts
        self._elastic = elastic
        self._models = models
        self._embed = embed

    async def query(self, request: Json, caller: RequestCaller) -> Json:
        """SearchQuery → SearchPage."""
        query, began = parse(SearchQuery, request), time.monotonic()
        page: SearchPage = await query_events.answer(
            self._contracts, self._elastic, self._models, query, self._readable(caller)
        )
        return _timed(page, began)

    async def similar(self, request: Json, caller: RequestCaller) -> Json:
        """SimilarQuery → SimilarPage."""
        query, began = parse(SimilarQuery, request), time.monotonic()
        page: SimilarPage = await similar.answer(
            self._contracts, self._elastic, self._models, self._embed, query, self._readable(caller)
        )
        return _timed(page, began)

    async def anomalies(self, request: Json, caller: RequestCaller) -> Json:
        """AnomaliesQuery → AnomaliesPage."""
        query, began = parse(AnomaliesQuery, request), time.monotonic()
        page: AnomaliesPage = await anomalies.answer(
            self._contracts, self._elastic, self._models, query, self._readable(caller)
        )
        return _timed(page, began)

    async def count(self, request: Json, caller: RequestCaller) -> Json:
        """CountQuery → Counts."""
        counts: Counts = await count.answer(
            self._contracts, self._elastic, parse(CountQuery, request), self._readable(caller)
        )
        return counts.to_json()

    def _readable(self, caller: RequestCaller) -> list[str]:
        return [name for name in self._contracts.datasets if caller.may_read(name)]


def parse(model: type[Q], request: Mapping[str, Any]) -> Q:
    """The typed request in a JSON object. Raises Refused QUERY_INVALID with a pointer."""
    return model.read(dict(request))


def _timed(page: SearchPage | SimilarPage, began: float) -> Json:
    page.took_ms = round((time.monotonic() - began) * 1000, 1)
    return page.to_json()
