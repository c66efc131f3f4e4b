"""templates, live indices, their mappings → what is missing, incomplete or guessed, and the command that corrects it"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import META
from penstock.runtime import Findings
from penstock.services.indexer.index_reserve import REACHED
from penstock.services.indexer.indices import Indices, unavailable
from penstock.services.indexer.ledger import Known, Ledger, gone

Json = dict[str, Any]
SECONDS = 10.0
RED = "2s"  # for which an index is without a primary shard before it is noted
_ASKED = f"*.aliases,*.settings.index.uuid,*.mappings.dynamic,*.mappings._meta.{META}.digest"


@dataclass(frozen=True, slots=True)
class Live:
    """The index behind a write alias. `ours`: it has the mapping of a release of Penstock, not a guessed one."""

    index: str
    uuid: str
    ours: bool


class IndexCheck:
    """Compares the cluster with what an indexer has made there. It puts templates that are missing, which are its own;
    it never makes an index that is missing: an empty one would hide the loss."""

    def __init__(self, client: AsyncElasticsearch, indices: Indices, ledger: Ledger) -> None:
        self._client = client.options(request_timeout=SECONDS)
        self._indices = indices
        self._ledger = ledger

    async def check(self) -> Findings:
        """What is wrong. Raises Unavailable while Elasticsearch or the broker cannot be asked."""
        await self._indices.prepare()
        known = await self._ledger.all()  # before the indices: one that is made meanwhile is not missing
        live = await self._live()
        notes = [
            f"the index of {alias} is gone: searches miss its events until it is rebuilt: {rebuild(alias)}"
            for alias in gone(known, live)
        ]
        for alias, found in live.items():
            noted = await self._noted(alias, found, known.get(alias))
            if since := noted.incomplete_since:
                notes.append(f"{found.index} was made at {since} in place of one that was deleted: {rebuild(alias)}")
            elif not found.ours:
                notes.append(f"{found.index} has a mapping that Elasticsearch guessed: {rebuild(alias)}")
        for index in await self._red():
            notes.append(
                f"{index} has no primary shard: searches miss its events, and new ones wait;"
                " `GET _cluster/allocation/explain` of Elasticsearch says why"
            )
        if why := await self._reserve_reached():
            notes.append(f"{REACHED}: events of past periods wait, unless their indices are there: {why}")
        return Findings(notes=tuple(sorted(notes)))

    async def _red(self) -> list[str]:
        """Those that stay so; one that is made at this moment has its shard at once."""
        client = self._client.options(ignore_status=408)
        try:
            answer = await client.cluster.health(
                index="events-*,scored-*", level="indices", wait_for_status="yellow", timeout=RED,
                filter_path="indices.*.status",
            )  # fmt: skip
        except (ApiError, TransportError) as error:
            raise unavailable(error, "the indices' health is not known") from error
        found: Json = answer.body.get("indices", {})
        return [index for index, body in found.items() if body["status"] == "red"]

    async def _reserve_reached(self) -> str:
        try:
            return await self._indices.reserve.reached()
        except (ApiError, TransportError) as error:
            raise unavailable(error, "the shards cannot be counted") from error

    async def _noted(self, alias: str, found: Live, entry: tuple[Known, int] | None) -> Known:
        known, revision = entry or (None, 0)
        return await self._ledger.seen(alias, found.index, found.uuid, known, revision)

    async def _live(self) -> dict[str, Live]:
        try:
            answer = await self._client.indices.get(
                index="events-*,scored-*", allow_no_indices=True, filter_path=_ASKED, flat_settings=False
            )
        except (ApiError, TransportError) as error:
            raise unavailable(error, "the indices cannot be listed") from error
        return {
            alias: Live(index, body["settings"]["index"]["uuid"], _is_ours(body.get("mappings", {})))
            for index, body in answer.body.items()
            for alias in body.get("aliases", ())
            if alias == index.rpartition("-g")[0]
        }


def rebuild(alias: str) -> str:
    """The commands that bring the index of an alias back from the store."""
    dataset, period = names.dataset_and_period(alias)
    model = "" if alias.startswith("events-") else f"--model {alias.split('-')[1]} "
    plan = f"penstock replay plan indexer --source store --effect rebuild {model}--dataset {dataset} --period {period}"
    return f'`{plan} --reason "index lost"`, then `penstock replay apply <hash>`'


def _is_ours(mapping: Json) -> bool:
    """Those of releases before mappings carried their digest have `dynamic: false` all the same."""
    return META in mapping.get("_meta", {}) or str(mapping.get("dynamic", "true")).lower() == "false"
