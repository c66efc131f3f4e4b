"""svc.index.*: generations of a period's index, made beside the live one, and swapped with it in one step"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.broker import Keys
from penstock.elasticsearch import names
from penstock.elasticsearch.shared_periods import is_shared
from penstock.errors import PenstockError, Refused
from penstock.replay.rebuild import beside, require_current
from penstock.rpc import messages
from penstock.rpc.caller import RequestCaller
from penstock.rpc.server import Operation
from penstock.services.indexer.indices import Indices, unavailable

_log = structlog.get_logger("penstock.indexer")

Json = dict[str, Any]
Actions = Sequence[Json]
SECONDS = 25.0
# Not in an index of their own: read from the documents, of those that are as new as the time of an end.
_PLACE: Json = {"stream": {"type": "keyword"}, "sequence": {"type": "long"}}


class Generations:
    """The operations. Each can be asked for again after it was done; a change that was decided at an older revision of
    the rebuild is refused."""

    def __init__(self, client: AsyncElasticsearch, indices: Indices, rebuilds: Keys) -> None:
        """`rebuilds`: the bucket of their documents."""
        self._client = client.options(request_timeout=SECONDS)
        self._indices = indices
        self._rebuilds = rebuilds

    @property
    def operations(self) -> dict[str, Operation]:
        """By name, as the contract has them."""
        return {
            "list": self.list,
            "prepare": self.prepare,
            "swap": self.swap,
            "drop": self.drop,
            "check": self.check,
        }

    async def list(self, request: Json, _: RequestCaller) -> Json:
        """IndexRef → Indices."""
        return (await self._list(messages.IndexRef.read(request).alias)).to_json()

    async def prepare(self, request: Json, _: RequestCaller) -> Json:
        """IndexTarget → Indices: makes the index from today's templates, beside the live one."""
        wanted = messages.IndexTarget.read(request)
        await require_current(self._rebuilds, wanted.alias, wanted.revision)
        if is_shared(wanted.alias):
            await self._indices.share(wanted.alias, wanted.members)
        elif found := (await self._list(wanted.alias)).shared:
            raise Refused("CONFLICT", f"{wanted.alias} has come to share the index of {found}: plan again")
        await self._indices.make(wanted.index)
        await self._update([{"add": {"index": wanted.index, "alias": beside(wanted.alias)}}])
        return (await self._list(wanted.alias)).to_json()

    async def swap(self, request: Json, _: RequestCaller) -> Json:
        """IndexTarget → Indices: the index becomes the live one, and the one that was live stands beside it."""
        wanted = messages.IndexTarget.read(request)
        await require_current(self._rebuilds, wanted.alias, wanted.revision)
        found = await self._list(wanted.alias)
        if found.live == wanted.index:
            return found.to_json()
        if wanted.index not in found.all:
            raise Refused("NOT_FOUND", f"there is no index {wanted.index}")
        try:
            await self._client.indices.refresh(index=wanted.index)
        except (ApiError, TransportError) as error:
            raise unavailable(error, f"{wanted.index} cannot be refreshed") from error
        aside = beside(wanted.alias)
        moved = [wanted.alias, names.read_alias(wanted.alias)]
        moved += [name for member in wanted.members for name in (member, names.first_index(member))]
        actions: Actions = []
        if found.live is not None:
            there = await self._aliases(found.live)
            if others := there.difference(moved, [aside]):
                raise Refused("CONFLICT", f"{found.live} has got {', '.join(sorted(others))[:200]} since the plan")
            actions = [
                *({"remove": {"index": found.live, "alias": each, "must_exist": True}} for each in sorted(there)),
                {"add": {"index": found.live, "alias": aside}},
            ]
        await require_current(self._rebuilds, wanted.alias, wanted.revision)  # a refresh may have taken its time
        await self._update(
            [
                *actions,
                {"remove": {"index": wanted.index, "alias": aside, "must_exist": True}},
                *({"add": {"index": wanted.index, "alias": each}} for each in moved),
            ]
        )
        _log.info("index_swapped", alias=wanted.alias, index=wanted.index, before=found.live)
        return (await self._list(wanted.alias)).to_json()

    async def drop(self, request: Json, _: RequestCaller) -> Json:
        """ChangeIndex → Indices: deletes the index beside the live one."""
        wanted = messages.ChangeIndex.read(request)
        alias = wanted.alias
        await require_current(self._rebuilds, alias, wanted.revision)
        found = await self._list(alias)
        if found.beside is not None and found.beside != found.live:
            # First in a step that fails when the index has become the live one, and after which it cannot.
            await self._update([{"remove": {"index": found.beside, "alias": beside(alias), "must_exist": True}}])
        for index in _dropped(found):
            try:
                await self._client.indices.delete(index=index, ignore_unavailable=True)
            except (ApiError, TransportError) as error:
                raise unavailable(error, f"{index} cannot be deleted") from error
            _log.info("index_dropped", alias=alias, index=index)
        return (await self._list(alias)).to_json()

    async def check(self, request: Json, _: RequestCaller) -> Json:
        """CheckIndex → CheckedIndex."""
        wanted = messages.CheckIndex.read(request)
        alias = beside(wanted.alias)
        try:
            await self._client.indices.refresh(index=alias)
            counts = await self._client.search(
                index=alias,
                size=0,
                track_total_hits=True,
                runtime_mappings=_PLACE,
                aggregations={"behind": {"filter": _behind(wanted.ends)}},
                allow_partial_search_results=False,
            )
            found = await self._client.search(
                index=alias,
                query={"ids": {"values": wanted.keys}},
                size=messages.MAX_CHECKED,
                source_exclude_vectors=False,
                allow_partial_search_results=False,
            )
        except (ApiError, TransportError) as error:
            raise unavailable(error, f"{alias} cannot be read") from error
        documents = {hit["_id"]: hit["_source"] for hit in found.body["hits"]["hits"]}
        body = counts.body
        return messages.CheckedIndex(
            count=body["hits"]["total"]["value"],
            behind=body["aggregations"]["behind"]["doc_count"],
            documents=documents,
        ).to_json()

    async def _list(self, alias: str) -> messages.Indices:
        own = f"{alias}-g"
        try:
            answer = await self._client.indices.get_alias(index=f"{own}*", allow_no_indices=True)
            members = await self._indices.periods.members(alias) if is_shared(alias) else []
        except (ApiError, TransportError) as error:
            raise unavailable(error, f"the indices of {alias} cannot be listed") from error
        by_alias = {name: index for index, body in answer.body.items() for name in body["aliases"]}
        # A period that shares an index has an alias there with the name of an index of its own.
        live = by_alias.get(alias, "")
        return messages.Indices(
            alias=alias,
            all=sorted(index for index in answer.body if index.startswith(own)),
            live=live if live.startswith(own) else None,
            beside=by_alias.get(beside(alias)),
            members=members,
            shared="" if live.startswith(own) else live.rpartition("-g")[0],
        )

    async def _aliases(self, index: str) -> set[str]:
        try:
            answer = await self._client.indices.get_alias(index=index)
        except (ApiError, TransportError) as error:
            raise unavailable(error, f"the aliases of {index} cannot be listed") from error
        return set(answer.body[index]["aliases"])

    async def _update(self, actions: Actions) -> None:
        """All of them at once, or none."""
        try:
            await self._client.indices.update_aliases(actions=actions)
        except (ApiError, TransportError) as error:
            failed: PenstockError = unavailable(error, "the aliases cannot be changed")
            raise failed from error


def _dropped(found: messages.Indices) -> list[str]:
    """All but the live one, where there is one: whoever dropped before may have been killed between the two steps."""
    if found.live is None:
        return [found.beside] if found.beside is not None else []
    return [index for index in found.all if index != found.live]


def _behind(ends: Sequence[messages.StreamEnd]) -> Json:
    """Documents of events behind one of the ends."""
    behind = [
        {
            "bool": {
                "filter": [
                    {"range": {"stored_at": {"gte": end.stored_at}}},
                    {"term": {"stream": end.stream}},
                    {"range": {"sequence": {"gt": end.last}}},
                ]
            }
        }
        for end in ends
    ]
    return {"bool": {"should": behind, "minimum_should_match": 1}} if behind else {"match_none": {}}
