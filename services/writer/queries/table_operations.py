"""svc.tables.*: the two tables of a name, one filled beside the live one, and swapped with it in one step"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import orjson
import structlog

from penstock.broker import Keys
from penstock.errors import Refused, Unavailable
from penstock.replay.rebuild import LEASE, require_current
from penstock.rpc import messages
from penstock.rpc.caller import RequestCaller
from penstock.rpc.server import Operation
from penstock.services.writer.generations import SET, Generation, both
from penstock.services.writer.periods import Length
from penstock.services.writer.position import position_of
from penstock.services.writer.queries.statements import (
    COUNT_ENTITIES,
    COUNT_ENTITY,
    COUNT_PAGE,
    ENTRY,
    GET,
    Reads,
)
from penstock.services.writer.rows import partition_of
from penstock.services.writer.store import Store

_log = structlog.get_logger("penstock.writer")

Json = dict[str, Any]
ALIAS = "table-"
PAGE = 5000  # rows counted at a time
_FIRST = UUID(int=0)


class TableOperations:
    """The operations. Each can be asked for again after it was done; a change that was decided at an older revision of
    the rebuild is refused."""

    def __init__(self, store: Store, reads: Reads, length: Length, rebuilds: Keys) -> None:
        """`rebuilds`: the bucket of their documents."""
        self._rebuilds = rebuilds
        self._store = store
        self._reads = reads
        self._length = length

    @property
    def all(self) -> dict[str, Operation]:
        """By name, as the contract has them."""
        return {
            "list": self.tables,
            "prepare": self.prepare,
            "swap": self.swap,
            "drop": self.drop,
            "count": self.count,
            "check": self.check,
        }

    async def tables(self, request: Json, _: RequestCaller) -> Json:
        """IndexRef → Indices."""
        return await self._list(messages.IndexRef.read(request).alias)

    async def prepare(self, request: Json, _: RequestCaller) -> Json:
        """IndexTarget → Indices: empties the table that is not live, and has it kept current."""
        wanted = messages.IndexTarget.read(request)
        name, now = await self._look(wanted.alias)
        if now.live == wanted.index:
            raise Refused("CONFLICT", f"{wanted.index} is live")
        await require_current(self._rebuilds, wanted.alias, wanted.revision)
        # Also when it is kept current already: nothing is fed before this, and what is in it may be of another rebuild.
        await self._reads.truncate(wanted.index)
        if now.beside != wanted.index:
            await self._set(name, now, Generation(now.live, wanted.index))
        return await self._list(wanted.alias)

    async def swap(self, request: Json, _: RequestCaller) -> Json:
        """IndexTarget → Indices: the table becomes the live one, and the other is kept current beside it."""
        wanted = messages.IndexTarget.read(request)
        name, now = await self._look(wanted.alias)
        await require_current(self._rebuilds, wanted.alias, wanted.revision)
        if now.live != wanted.index:
            if now.beside != wanted.index:
                raise Refused("NOT_FOUND", f"{wanted.index} is not kept current beside {now.live}")
            await self._set(name, now, Generation(wanted.index, now.live))
            _log.info("table_swapped", table=name, live=wanted.index, before=now.live)
        return await self._list(wanted.alias)

    async def drop(self, request: Json, _: RequestCaller) -> Json:
        """ChangeIndex → Indices: empties the table that is not live, once nobody reads or writes it any more. Also one
        that is not kept current any more: whoever dropped it before may have been killed before it was empty."""
        wanted = messages.ChangeIndex.read(request)
        alias = wanted.alias
        name, now = await self._look(alias)
        await require_current(self._rebuilds, alias, wanted.revision)
        if now.beside is not None:
            await self._set(name, now, Generation(now.live))
        await asyncio.sleep(LEASE + 1.0)
        name, now = await self._look(alias)
        await require_current(self._rebuilds, alias, wanted.revision)
        if now.beside is None:  # or another rebuild has begun, and has emptied it
            (other,) = (table for table in both(name) if table != now.live)
            await self._reads.truncate(other)
            _log.info("table_dropped", table=name, emptied=other)
        return await self._list(alias)

    async def count(self, request: Json, _: RequestCaller) -> Json:
        """CountTable → TableCount: one page of a partition of the table beside the live one, or of the records."""
        wanted = messages.CountTable.read(request)
        name, beside = ("events", None) if wanted.records else await self._beside(wanted.alias)
        partition = (wanted.period, wanted.pp)
        if beside is None or name == "events":
            after = UUID(wanted.after) if wanted.after else _FIRST
            rows = list(await self._reads.read(COUNT_PAGE, (*partition, after, PAGE), table=beside))
            count, place = len(rows), str(rows[-1].key) if rows else None
        else:
            rows, place = await self._entries(partition, wanted.after, beside)
            count = len({row.event or row.key for row in rows})  # one sent again meanwhile stands there twice
        return messages.TableCount(count=count, after=place, end=len(rows) < PAGE).to_json()

    async def check(self, request: Json, _: RequestCaller) -> Json:
        """CheckIndex → CheckedIndex: what the table beside the live one says of some keys."""
        wanted = messages.CheckIndex.read(request)
        name, beside = await self._beside(wanted.alias)
        look = self._event if name == "events" else self._entry
        found = await asyncio.gather(*(look(key, beside) for key in wanted.keys))
        documents = {key: document for key, document in zip(wanted.keys, found, strict=True) if document is not None}
        return messages.CheckedIndex(count=len(documents), documents=documents).to_json()

    async def _entries(self, partition: tuple[str, int], after: str | None, table: str) -> tuple[list[Any], str | None]:
        """Of a timeline: the rest of an entity, whose positions descend, and then other entities."""
        rows: list[Any] = []
        entity = ""
        if after is not None:
            key, entity = after.split(" ", 1)
            rows = list(await self._reads.read(COUNT_ENTITY, (*partition, entity, UUID(key), PAGE), table=table))
        if len(rows) < PAGE:
            rows += await self._reads.read(COUNT_ENTITIES, (*partition, entity, PAGE - len(rows)), table=table)
        return rows, f"{rows[-1].key} {rows[-1].entity}" if rows else None

    async def _event(self, key: str, table: str | None) -> Json | None:
        rows = list(await self._reads.read(GET, (*partition_of(key, self._length), [UUID(key)]), table=table))
        document: Json | None = orjson.loads(rows[0].record) if rows else None
        return document

    async def _entry(self, key: str, table: str) -> Json | None:
        """The record, where the entry is that of it."""
        record = await self._event(key, None)
        if record is None:
            return None
        values = (*partition_of(key, self._length), record["entity"], position_of(record))
        rows = list(await self._reads.read(ENTRY, values, table=table))
        wanted = (UUID(key), record["event"]["type"], record["publisher"])
        is_of_it = rows and (rows[0].event, rows[0].type, rows[0].publisher) == wanted
        return record if is_of_it else None

    async def _list(self, alias: str) -> Json:
        name, now = await self._look(alias)
        return messages.Indices(alias=alias, all=[*both(name)], live=now.live, beside=now.beside).to_json()

    async def _beside(self, alias: str) -> tuple[str, str]:
        name, now = await self._look(alias)
        if now.beside is None:
            raise Refused("NOT_FOUND", f"no table is kept current beside {now.live}")
        return name, now.beside

    async def _look(self, alias: str) -> tuple[str, Generation]:
        name = alias.removeprefix(ALIAS)
        if len(both(name)) < 2:
            raise Refused("NOT_FOUND", f"{name} is no table that can be rebuilt")
        await self._reads.look_at_generations()
        return name, self._store.generations.of[name]

    async def _set(self, name: str, now: Generation, generation: Generation) -> None:
        """Raises Unavailable when another writer was asked for something else at the same time."""
        await self._reads.read(SET, (generation.live, generation.beside, name, now.live, now.beside))
        await self._reads.look_at_generations()
        if self._store.generations.of[name] != generation:
            raise Unavailable("SERVICE_UNAVAILABLE", f"the tables of {name} are being changed", retry_after=1)
