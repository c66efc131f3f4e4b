"""CountQuery → numbers of events, in all and by value of a field or interval of time"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.errors import Refused
from penstock.rpc.messages import Bucket, CountQuery, Counts
from penstock.services.indexer.search import query
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.scope import Scope, resolve

Json = dict[str, Any]
_UNIQUE = {"@key", "@id"}
_FORMAT = "strict_date_time"


async def answer(contracts: Contracts, elastic: Elastic, request: CountQuery, datasets: Collection[str]) -> Counts:
    """Exact numbers. Raises Refused, Unavailable."""
    scope = resolve(contracts, datasets, request.datasets, request.types)
    wanted = query.build(
        scope,
        "events",
        text=request.text,
        entity=request.entity,
        filters=request.filters,
        time=request.time,
    )
    body: Json = {"query": wanted, "size": 0, "track_total_hits": True}
    if request.by is not None:
        body["aggs"] = {"by": {"terms": {"field": _path(scope, request.by), "size": request.size}}}
    elif request.per is not None:
        # Composite, as it makes no more buckets than are asked for; there are 13 million minutes in 25 years.
        interval = {"field": "time", "calendar_interval": request.per, "format": _FORMAT, "order": "desc"}
        sources = [{"time": {"date_histogram": interval}}]
        body["aggs"] = {"by": {"composite": {"size": request.size, "sources": sources}}}
    result = await elastic.search([names.events_read(dataset) for dataset in scope.datasets], body)
    total = result["hits"]["total"]["value"]
    found = result.get("aggregations", {}).get("by", {"buckets": []})["buckets"][: request.size]
    buckets = [Bucket(value=_value(each), count=each["doc_count"]) for each in found]
    if request.per is not None:
        buckets.reverse()  # the newest intervals have room, in the order of time
    in_buckets = sum(bucket.count for bucket in buckets)
    return Counts(total=total, buckets=buckets, other=max(0, total - in_buckets) if "aggs" in body else 0)


def _path(scope: Scope, name: str) -> str:
    field = scope.field(name, "events")
    if field.kind in ("text", "geo_point"):
        raise Refused("QUERY_INVALID", f"{name} is a {field.kind}; it has no values to count by", pointer="/by")
    if name in _UNIQUE:  # no two events share one; Elasticsearch would hold all of them in memory
        raise Refused("QUERY_INVALID", f"{name} is another one for each event", pointer="/by")
    return field.path


def _value(bucket: Json) -> Any:
    found = bucket.get("key_as_string", bucket["key"])
    return found["time"] if isinstance(found, dict) else found
