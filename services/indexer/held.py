"""svc.index.count: how many events of a dataset the index holds, by day or hour of their own time"""

from __future__ import annotations

from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.elasticsearch import names
from penstock.errors import Refused
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import MAX_PERIODS, CountIndexed, HeldCount, HeldCounts
from penstock.services.indexer.indices import unavailable

Json = dict[str, Any]
SECONDS = 25.0
_FORMATS = {"day": "yyyy-MM-dd", "hour": "yyyy-MM-dd'T'HH"}


class HeldIndexed:
    """Counts by an aggregation, after a refresh: what was acknowledged is found."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client.options(request_timeout=SECONDS)

    async def count(self, request: Json, _: RequestCaller) -> Json:
        """CountIndexed → HeldCounts. Raises Refused QUERY_INVALID for too many periods."""
        wanted = CountIndexed.read(request)
        index = names.events_read(wanted.dataset)
        by = {"calendar_interval": wanted.per, "format": _FORMATS[wanted.per], "min_doc_count": 1}
        accepted = {"gte": wanted.since, "lt": wanted.until}
        try:
            await self._client.indices.refresh(index=index, ignore_unavailable=True)
            answer = await self._client.search(
                index=index,
                ignore_unavailable=True,
                size=0,
                query={
                    "bool": {
                        "filter": [
                            {"range": {"time": {"gte": wanted.begin, "lt": wanted.end}}},
                            {"range": {"stored_at": {"lt": wanted.until}}},
                        ]
                    }
                },
                aggs={
                    "by": {
                        "date_histogram": {"field": "time", **by},
                        "aggs": {"held": {"filter": {"range": {"stored_at": accepted}}}},
                    }
                },
                allow_partial_search_results=False,
            )
        except (ApiError, TransportError) as error:
            raise unavailable(error, f"{index} cannot be counted") from error
        buckets = answer.body.get("aggregations", {}).get("by", {"buckets": []})["buckets"]
        if len(buckets) > MAX_PERIODS:
            raise Refused("QUERY_INVALID", f"there are more than {MAX_PERIODS} periods; compare by day, or less time")
        return HeldCounts(
            counts=[
                HeldCount(
                    dataset=wanted.dataset,
                    period=each["key_as_string"],
                    held=each["held"]["doc_count"],
                    older=each["doc_count"] - each["held"]["doc_count"],
                )
                for each in buckets
            ]
        ).to_json()
