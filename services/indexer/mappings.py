"""svc.index.mappings: the live indices → the mapping that each was created with, compared with today's"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import compare
from penstock.elasticsearch.templates import component_name, templates
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import MAX_MAPPINGS, IndexMapping, IndexMappings, ListMappings, MappingChange
from penstock.services.indexer.indices import unavailable

Json = dict[str, Any]
SECONDS = 25.0
_SIZES = "indices.*.primaries.docs.count,indices.*.total.store.size_in_bytes"


class LiveMappings:
    """Reads them; changes nothing."""

    def __init__(self, client: AsyncElasticsearch, contracts: Contracts) -> None:
        self._client = client.options(request_timeout=SECONDS)
        self._datasets = contracts.datasets
        self._components = templates(contracts)["component"]

    async def mappings(self, request: Json, _: RequestCaller) -> Json:
        """ListMappings → IndexMappings."""
        wanted = ListMappings.read(request)
        try:
            live = await self._live(wanted)
            page = dict(list(live.items())[:MAX_MAPPINGS])
            found = await self._describe(page) if page else []
        except (ApiError, TransportError) as error:
            raise unavailable(error, "the mappings cannot be read") from error
        return IndexMappings(indices=found, left=len(live) > len(page)).to_json()

    async def _live(self, wanted: ListMappings) -> dict[str, str]:
        """The live indices by alias, of datasets in the contracts."""
        answer = await self._client.indices.get_alias(index="events-*,scored-*", allow_no_indices=True)
        found = {
            alias: index
            for index, body in answer.body.items()
            for alias in body["aliases"]
            if alias == index.rpartition("-g")[0] and _chosen(alias, wanted, self._datasets)
        }
        return dict(sorted(found.items()))

    async def _describe(self, live: Mapping[str, str]) -> list[IndexMapping]:
        every = ",".join(live.values())
        mappings = (await self._client.indices.get_mapping(index=every)).body
        answer = await self._client.indices.stats(index=every, metric=["docs", "store"], filter_path=_SIZES)
        stats = answer.body.get("indices", {})
        return [
            self._state(alias, index, mappings[index]["mappings"], stats.get(index, {}))
            for alias, index in live.items()
            if index in mappings
        ]

    def _state(self, alias: str, index: str, mapping: Json, stats: Json) -> IndexMapping:
        state, changes = compare(mapping, self._components[component_name(alias)]["template"]["mappings"])
        return IndexMapping(
            alias=alias,
            index=index,
            state=state,
            changes=[MappingChange(member=each.member, was=each.was, now=each.now) for each in changes],
            documents=stats.get("primaries", {}).get("docs", {}).get("count", 0),
            bytes=stats.get("total", {}).get("store", {}).get("size_in_bytes", 0),
        )


def _chosen(alias: str, wanted: ListMappings, datasets: Iterable[str]) -> bool:
    if alias.count("-") < 2:
        return False
    dataset, period = names.dataset_and_period(alias)
    return (
        dataset in datasets
        and (not wanted.datasets or dataset in wanted.datasets)
        and (not wanted.periods or period in wanted.periods)
        and (wanted.after is None or alias > wanted.after)
    )
