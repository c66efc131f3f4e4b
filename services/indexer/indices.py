"""contracts → templates; missing alias → index behind it. Several indexers may do both at once."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from penstock.contract_check.elasticsearch_templates import templates
from penstock.contracts import Contracts
from penstock.errors import PenstockError, Unavailable
from services.indexer import names
from services.indexer.metrics import INDICES_MADE

_log = structlog.get_logger(__name__)
_TIMEOUT = 30.0


class Indices:
    """Templates and indices of one cluster."""

    def __init__(self, client: AsyncElasticsearch, contracts: Contracts) -> None:
        self._client = client.options(request_timeout=_TIMEOUT)
        self._templates = templates(contracts)
        self._one = asyncio.Lock()
        self.prepared = False

    async def prepare(self) -> None:
        """Puts the templates, and new members of the contracts into indices that exist. Raises as `create`."""
        async with self._one:
            await self._prepare()

    async def create(self, alias: str) -> None:
        """Makes the first index behind `alias` unless another indexer just did. Raises Unavailable, or
        PenstockError when an operator must act."""
        async with self._one:
            await self._prepare()  # an index made without its template would guess its mapping
            try:
                if await self._client.indices.exists_alias(name=alias):
                    return
                aliases: dict[str, Any] = {alias: {}, names.read_alias(alias): {}}
                await self._client.indices.create(index=names.first_index(alias), aliases=aliases)
            except ApiError as error:
                if _type(error) != "resource_already_exists_exception":
                    raise _unavailable(error, f"{alias} cannot be made") from error
                if not await self._has(alias):
                    raise PenstockError(
                        "STORE_UNAVAILABLE", f"{names.first_index(alias)} exists, but not behind the alias {alias}"
                    ) from error
            except TransportError as error:
                raise _unavailable(error, f"{alias} cannot be made") from error
            INDICES_MADE.inc()
            _log.info("index_made", alias=alias)

    async def _has(self, alias: str) -> bool:
        try:
            return bool(await self._client.indices.exists_alias(name=alias))
        except (ApiError, TransportError) as error:
            raise _unavailable(error, f"{alias} cannot be looked up") from error

    async def _prepare(self) -> None:
        if self.prepared:
            return
        try:
            for name, body in self._templates["component"].items():
                await self._client.cluster.put_component_template(name=name, **body)
            for name, body in self._templates["index"].items():
                await self._client.indices.put_index_template(name=name, **body)
            for name, body in self._templates["index"].items():
                await self._extend(name, body["index_patterns"])
        except (ApiError, TransportError) as error:
            raise _unavailable(error, "the index templates cannot be put") from error
        self.prepared = True

    async def _extend(self, template: str, patterns: list[str]) -> None:
        """Members that are new in the contracts become searchable from now on in indices that exist."""
        mapping = self._templates["component"][template]["template"]["mappings"]
        try:
            await self._client.indices.put_mapping(index=patterns, **mapping, allow_no_indices=True)
        except ApiError as error:
            if error.meta.status != 400:
                raise
            # A changed kind needs a rebuild into a new index; until then the old mapping goes on working.
            _log.error("mapping_not_extended", template=template, reason=str(error.message)[:500])


def _type(error: ApiError) -> str:
    body = error.body
    found = body.get("error") if isinstance(body, dict) else None
    return str(found.get("type", "")) if isinstance(found, dict) else ""


def _unavailable(error: ApiError | TransportError, what: str) -> PenstockError:
    text = f"{what}: {str(error)[:300]}"
    if isinstance(error, ApiError) and error.meta.status < 500 and error.meta.status != 429:
        return PenstockError("STORE_UNAVAILABLE", text, retry_after=15)
    return Unavailable("STORE_UNAVAILABLE", text, retry_after=5)
