"""write aliases of periods → which index is behind each, and which one a period without an index is to have

Aliases and indices are one name space. So the alias of a period in a shared index comes with a second one, which has
the name that an index of its own would have: of two indexers that choose differently, Elasticsearch refuses one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch import names
from penstock.elasticsearch.shared_periods import is_current, periods_within
from penstock.replay.rebuild import beside
from penstock.services.indexer.ledger import Ledger

Json = dict[str, Any]
# Documents of a shared index from which on no more periods come to it: a shard takes two billion.
FULL = 200_000_000
Places = Mapping[str, str]


class PeriodIndices:
    """Of one cluster. `clock`: Unix seconds."""

    def __init__(
        self, client: AsyncElasticsearch, ledger: Ledger | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock

    def is_current(self, alias: str) -> bool:
        """Whether the period has an index of its own in any case."""
        return is_current(alias, int(self._clock() * 1000))

    async def places(self, read: str) -> Places:
        """The index behind each write alias of a read alias. Raises what the client raises."""
        client = self._client.options(ignore_status=404)
        answer = await client.indices.get_alias(name=f"{read}-*", filter_path="*.aliases")
        return {alias: index for index, body in answer.body.items() for alias in body["aliases"]}

    async def share(self, aliases: Iterable[str], shared: str, places: Places) -> list[str]:
        """Which of some periods without an index are to share one. Not those that have one of their own that is lost or
        being rebuilt. Raises what the client raises, and Unavailable."""
        found = [each for each in aliases if not self.is_current(each) and beside(each) not in places]
        # While it is rebuilt, each of its periods has been given to it before: another one would be left behind.
        if not found or (shared in places and (beside(shared) in places or await self._is_full(places[shared]))):
            return []
        known = await self._ledger.all() if self._ledger is not None else {}
        return [each for each in found if each not in known]

    async def members(self, shared: str) -> list[str]:
        """The past periods that share an index, and those that would. Raises what the client raises, Unavailable."""
        places = await self.places(names.read_alias(shared))
        live = places.get(shared)
        periods = periods_within(shared)
        inside = {each for each in periods if live is not None and places.get(each) == live}
        without = await self.share([each for each in periods if each not in places], shared, places)
        return [each for each in periods if each in inside or each in without]

    async def _is_full(self, index: str) -> bool:
        answer = await self._client.indices.stats(index=index, metric="docs", filter_path="_all.primaries.docs.count")
        return bool(answer.body["_all"]["primaries"]["docs"]["count"] >= FULL)


def claim(index: str, aliases: Iterable[str]) -> list[Json]:
    """The actions that put periods into a shared index."""
    return [{"add": {"index": index, "alias": name}} for alias in aliases for name in (alias, names.first_index(alias))]
