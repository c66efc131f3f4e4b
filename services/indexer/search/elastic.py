"""One search or multi-get, bounded in time, with Elasticsearch's errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, ConnectionTimeout, TransportError

from penstock.elasticsearch.failure import described, reason_of
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.stopping import set_within
from penstock.telemetry.traces import store_step

_log = structlog.get_logger("penstock.indexer")

Json = dict[str, Any]
_SEARCH_SECONDS = 8.0
_PING_SECONDS, _PING_EVERY = 2.0, 2.0


class Elastic:
    """Reads from the cluster. `unready_reason` says why it cannot be read now; then every call fails at once."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        self._client = client.options(request_timeout=_SEARCH_SECONDS + 1.0)
        self._pings = client.options(request_timeout=_PING_SECONDS)
        self.unready_reason: str | None = "not reached yet"

    async def watch(self, stop: asyncio.Event) -> None:
        """Keeps `unready_reason` true to the cluster until `stop`."""
        while not stop.is_set():
            await self.look()
            await set_within(stop, _PING_EVERY)

    async def look(self) -> None:
        """Asks the cluster once whether it can be read."""
        try:
            await self._pings.cluster.health(filter_path="status", local=True)
        except (ApiError, TransportError) as error:
            self.unready_reason = reason_of(error)[:200]
        else:
            self.unready_reason = None

    async def search(self, aliases: Sequence[str], body: Json) -> Json:
        """The answer of all shards, or an error: never of some. An alias that does not exist holds nothing."""
        self._reachable()
        body = {"timeout": f"{int(_SEARCH_SECONDS)}s", **body}
        try:
            with store_step("elasticsearch", "search", ",".join(aliases)):
                response = await self._client.search(
                    index=",".join(aliases),
                    body=body,
                    ignore_unavailable=True,
                    allow_no_indices=True,
                    expand_wildcards="none",
                    allow_partial_search_results=False,
                    max_concurrent_shard_requests=5,
                )
            answer: Json = response.body
        except (ApiError, TransportError) as error:
            raise _ours(error) from error
        if answer.get("timed_out"):
            raise Unavailable("TIMED_OUT", f"the search took longer than {_SEARCH_SECONDS:.0f} s", retry_after=1)
        return answer

    async def get(self, places: Sequence[tuple[str, str]], source: bool | Sequence[str] = True) -> list[Json | None]:
        """The sources of (alias, key) pairs; None where there is none."""
        if not places:
            return []
        self._reachable()
        docs = [{"_index": alias, "_id": key} for alias, key in places]
        try:
            # In real time: an index that nobody searches is not refreshed.
            with store_step("elasticsearch", "mget", size=len(docs)):
                answer = await self._client.mget(docs=docs, source=source)
        except (ApiError, TransportError) as error:
            raise _ours(error) from error
        return [doc.get("_source") if doc.get("found") else None for doc in answer.body["docs"]]

    async def aliases(self, pattern: str) -> list[str]:
        """The aliases that fit a pattern of ours."""
        self._reachable()
        try:
            answer = await self._client.indices.get_alias(name=pattern, filter_path="*.aliases")
        except ApiError as error:
            if error.meta.status == 404:
                return []
            raise _ours(error) from error
        except TransportError as error:
            raise _ours(error) from error
        return sorted({alias for index in answer.body.values() for alias in index["aliases"]})

    def _reachable(self) -> None:
        if self.unready_reason is not None:
            raise Unavailable("STORE_UNAVAILABLE", f"Elasticsearch: {self.unready_reason}", retry_after=2)


def _ours(error: ApiError | TransportError) -> PenstockError:
    if isinstance(error, ConnectionTimeout):
        return Unavailable("TIMED_OUT", "Elasticsearch did not answer in time", retry_after=1)
    if isinstance(error, ApiError) and error.meta.status == 400:
        # The request was checked before, so this is a defect, or a limit of that cluster. The reason may tell of its
        # inside: it is for the log.
        _log.error("search_refused", reason=_reason(error))
        return Refused("QUERY_INVALID", "the index does not take it; ask for less, or report it")
    what = _reason(error) if isinstance(error, ApiError) else reason_of(error)
    return Unavailable("STORE_UNAVAILABLE", f"Elasticsearch: {what}"[:400], retry_after=2)


def _reason(error: ApiError) -> str:
    found = described(error)
    if not found:
        return str(error)[:300]
    causes = found.get("root_cause") or [found]
    return f"{causes[0].get('type')}: {causes[0].get('reason')}"[:300]
