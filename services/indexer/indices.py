"""contracts → templates; missing alias → index behind it. Several indexers may do both at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.elasticsearch.failure import described, reason_of
from penstock.elasticsearch.shared_periods import shared_alias
from penstock.elasticsearch.templates import component_name, templates
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.services.indexer.index_reserve import IndexReserve
from penstock.services.indexer.ledger import Ledger
from penstock.services.indexer.metrics import INDICES_MADE, TEMPLATES_RESTORED
from penstock.services.indexer.period_indices import PeriodIndices, Places, claim

_log = structlog.get_logger(__name__)
Json = dict[str, Any]
_TIMEOUT = 30.0
OWN_AT_ONCE = 8  # indices of single periods, where what was to be shared cannot be
_PASSING = (408, 429)  # a shard that has not started in time; a cluster with too much to do
# The name of an index is an alias already, and the other way round: another indexer has chosen differently.
_NAME_TAKEN = ("invalid_index_name_exception", "invalid_alias_name_exception")


class Indices:
    """Templates and indices of one cluster. `ledger`: where indices that become live are noted; `clock`: Unix
    seconds."""

    def __init__(
        self,
        client: AsyncElasticsearch,
        contracts: Contracts,
        ledger: Ledger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._client = client.options(request_timeout=_TIMEOUT)
        self._templates = templates(contracts)
        self.reserve = IndexReserve(self._client, contracts, clock)
        self.periods = PeriodIndices(self._client, ledger, clock)
        self._one = asyncio.Lock()
        self.prepared = False

    async def prepare(self) -> None:
        """Puts the templates, and new members of the contracts into indices that exist; later, templates that are
        missing. Raises as `create`."""
        async with self._one:
            await self._prepare()

    def made_with(self, alias: str) -> str:
        """What is made for a write alias that has no index: that of its period, or one that past periods share."""
        return alias if self.periods.is_current(alias) else shared_alias(alias)

    async def create(self, aliases: Sequence[str]) -> None:
        """Puts an index behind write aliases of which the same is made, unless another indexer just did. Raises
        Unavailable, or PenstockError when an operator must act, INDEX_RESERVE_REACHED among them."""
        async with self._one:
            await self._prepare()
            try:
                places = await self.periods.places(names.read_alias(aliases[0]))
                missing = [each for each in aliases if each not in places]
                shared = shared_alias(aliases[0])
                sharing = await self.periods.share(missing, shared, places)
                if sharing and not await self._share(shared, sharing, places):
                    # One of them has an index of its own, whose maker died before its alias, or is at work.
                    own = [each for each in sharing if await self._client.indices.exists(index=names.first_index(each))]
                    sharing = [each for each in sharing if each not in own]
                for alias in [each for each in missing if each not in sharing][:OWN_AT_ONCE]:
                    await self._make_own(alias)
            except (ApiError, TransportError) as error:
                raise unavailable(error, f"{aliases[0]} cannot be made") from error

    async def share(self, shared: str, aliases: Sequence[str]) -> None:
        """Puts all of these periods into the index that they share, and makes that first where there is none. Raises as
        `create`, and Refused CONFLICT when one has an index of its own."""
        async with self._one:
            await self._prepare()
            try:
                places = await self.periods.places(names.read_alias(shared))
                live = places.get(shared)
                missing = [each for each in aliases if live is None or places.get(each) != live]
                if any(each in places for each in missing) or not await self._share(shared, missing, places):
                    raise Refused("CONFLICT", f"a period of {shared} has got an index of its own: plan again")
            except (ApiError, TransportError) as error:
                raise unavailable(error, f"{shared} cannot be made") from error

    async def _share(self, shared: str, aliases: Sequence[str], places: Places) -> bool:
        """Whether the periods share the index now, all of them at once."""
        index = places.get(shared, names.first_index(shared))
        actions: list[Json] = [{"add": {"index": index, "alias": shared}}, *claim(index, aliases)]
        if shared in places:
            # Fails where a rebuild has put another index in its place meanwhile.
            actions.insert(0, {"remove": {"index": index, "alias": shared, "must_exist": True}})
        else:
            await self.reserve.check_past()
            await self._make(index)
            actions.append({"add": {"index": index, "alias": names.read_alias(shared)}})
        try:
            await self._client.indices.update_aliases(actions=actions)
        except ApiError as error:
            if _type(error) not in _NAME_TAKEN:
                raise
            return False
        if shared not in places:
            await self._note(shared, index)
        return True

    async def _make_own(self, alias: str) -> None:
        index = names.first_index(alias)
        await self.reserve.check(alias)
        try:
            await self._make(index)
        except ApiError as error:
            if _type(error) in _NAME_TAKEN:
                return  # another indexer has just put the period into a shared index
            raise
        await self._show(index, [alias, names.read_alias(alias)])
        await self._note(alias, index)

    async def _note(self, alias: str, index: str) -> None:
        INDICES_MADE.inc()
        _log.info("index_made", alias=alias)
        if self._ledger is not None:
            await self._ledger.made(alias, index, await self._uuid(index))

    async def make(self, index: str) -> None:
        """An index of today's templates, without an alias. Raises as `create`."""
        async with self._one:
            await self._prepare()
            try:
                await self._make(index)
            except (ApiError, TransportError) as error:
                raise unavailable(error, f"{index} cannot be made") from error

    async def _make(self, index: str) -> None:
        """The index, with its shards ready to be searched. One that is there already has a maker that is at work
        beside us, or that died before its aliases.

        Its mapping is given here, so that it is never guessed, whatever became of the templates."""
        component = self._templates["component"].get(component_name(index))
        if component is None:
            raise Refused("NOT_FOUND", f"{index} is of no dataset of the contracts")
        try:
            await self._client.indices.create(index=index, mappings=component["template"]["mappings"])
        except ApiError as error:
            if _type(error) != "resource_already_exists_exception":
                raise
        await self._client.cluster.health(index=index, wait_for_status="yellow", timeout=f"{_TIMEOUT - 5:.0f}s")

    async def _uuid(self, index: str) -> str:
        found = await self._client.indices.get_settings(index=index, name="index.uuid")
        return str(found.body[index]["settings"]["index"]["uuid"])

    async def _show(self, index: str, aliases: list[str]) -> None:
        # Only now, and both at once: who searches through an alias while a shard behind it starts gets an error.
        actions = [{"add": {"index": index, "alias": alias}} for alias in aliases]
        await self._client.indices.update_aliases(actions=actions)

    async def _prepare(self) -> None:
        components, templates = self._templates["component"], self._templates["index"]
        try:
            # The names of the two kinds overlap.
            has_components, has_templates = await self._found() if self.prepared else (set(), set())
            missing = [*(components.keys() - has_components), *(templates.keys() - has_templates)]
            for name in components.keys() - has_components:
                await self._client.cluster.put_component_template(name=name, **components[name])
            for name in templates.keys() - has_templates:
                await self._client.indices.put_index_template(name=name, **templates[name])
            if not self.prepared:
                for name, body in templates.items():
                    await self._extend(name, body["index_patterns"])
        except (ApiError, TransportError) as error:
            raise unavailable(error, "the index templates cannot be put") from error
        if self.prepared and missing:
            TEMPLATES_RESTORED.inc(len(missing))
            _log.error("templates_restored", templates=sorted(missing))
        self.prepared = True

    async def _found(self) -> tuple[set[str], set[str]]:
        """The names of the component and index templates that are there; where there is none, the answer is 404."""
        client = self._client.options(ignore_status=404)
        components = await client.cluster.get_component_template(
            name="penstock-*", filter_path="component_templates.name"
        )
        templates = await client.indices.get_index_template(name="penstock-*", filter_path="index_templates.name")
        return (
            {each["name"] for each in components.body.get("component_templates", ())},
            {each["name"] for each in templates.body.get("index_templates", ())},
        )

    async def _extend(self, template: str, patterns: list[str]) -> None:
        """Members that are new in the contracts become searchable from now on in indices that exist. What they say of
        the mapping that they were created with stays: the documents that they hold were indexed by that one."""
        whole = self._templates["component"][template]["template"]["mappings"]
        mapping = {name: value for name, value in whole.items() if name != "_meta"}
        try:
            await self._client.indices.put_mapping(index=patterns, **mapping, allow_no_indices=True)
        except ApiError as error:
            if error.meta.status != 400:
                raise
            # A changed kind needs `penstock migrate`; until then the old mapping goes on working.
            _log.error("mapping_not_extended", template=template, reason=str(error.message)[:500])


def _type(error: ApiError) -> str:
    return str(described(error).get("type", ""))


def unavailable(error: ApiError | TransportError, what: str) -> PenstockError:
    """Elasticsearch's error as ours."""
    text = f"{what}: {reason_of(error)[:300]}"
    if isinstance(error, ApiError) and error.meta.status < 500 and error.meta.status not in _PASSING:
        return PenstockError("STORE_UNAVAILABLE", text, retry_after=15)
    return Unavailable("STORE_UNAVAILABLE", text, retry_after=5)
