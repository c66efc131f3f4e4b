"""svc.store.{get,timeline,count,audit} → Cassandra → records, entries, numbers

Each operation checks its request again and answers with nothing of a dataset that is not granted to whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import ValidationError

from penstock.contracts import Contracts, operations, subjects
from penstock.errors import Refused
from penstock.rpc.caller import TRUSTED_PROXY, RequestCaller
from penstock.rpc.messages import (
    AuditQuery,
    GetRecords,
    Request,
    StoreCount,
    StoreCountQuery,
    StoreCounts,
    TimelineQuery,
)
from penstock.services.writer.periods import Length, overlapping
from penstock.services.writer.queries import audit
from penstock.services.writer.queries.statements import COUNT_EVENTS, COUNT_SCORES, GET, PERIODS, Reads
from penstock.services.writer.queries.timeline import page
from penstock.services.writer.rows import partition_of

Json = dict[str, Any]
Q = TypeVar("Q", bound=Request)
ROOM = 900 * 1024  # bytes of an answer; the broker takes messages of 1 MiB
_AT_ONCE = 50  # records fetched together, each at most 264 KiB
_COUNTS_ABREAST = 4
# Counted by one statement: Cassandra gives it 5 s, in which it counts some hundred thousand rows per partition.
_PARTITIONS = [list(range(first, subjects.PARTITIONS, 16)) for first in range(16)]


class Operations:
    """The operations of svc.store."""

    def __init__(self, contracts: Contracts, reads: Reads, length: Length) -> None:
        self._contracts = contracts
        self._reads = reads
        self._length = length

    async def get(self, request: Json, caller: RequestCaller) -> Json:
        """GetRecords → Records. The records' bytes go into the answer as they are stored."""
        keys = list(dict.fromkeys(_parse(GetRecords, request).keys))
        records: list[orjson.Fragment] = []
        missing: list[str] = []
        room = ROOM
        for begin in range(0, len(keys), _AT_ONCE):
            part = keys[begin : begin + _AT_ONCE]
            found = await self._records(part, caller)
            for number, key in enumerate(part):
                record = found.get(key)
                if record is None:
                    missing.append(key)
                    continue
                room -= len(record) + 1
                if room < 0:
                    return {"records": records, "missing": missing, "left": keys[begin + number :]}
                records.append(orjson.Fragment(record))
        return {"records": records, "missing": missing, "left": []}

    async def timeline(self, request: Json, caller: RequestCaller) -> Json:
        """TimelineQuery → TimelinePage, newest first."""
        query = _parse(TimelineQuery, request)
        datasets = self._datasets(query.datasets, caller)
        types = {name: known for name, known in self._contracts.types.items() if known.dataset in datasets}
        return (await page(self._reads, self._length, query, types)).to_json()

    async def count(self, request: Json, caller: RequestCaller) -> Json:
        """StoreCountQuery → StoreCounts, of whole periods."""
        query = _parse(StoreCountQuery, request)
        datasets = self._datasets(query.datasets, caller)
        noted = [row.period for row in await self._reads.read(PERIODS, (self._length,))]
        periods = overlapping(self._length, noted, query.time)
        room = asyncio.Semaphore(_COUNTS_ABREAST)

        async def number(statement: str, dataset: str, period: str, partitions: list[int]) -> int:
            async with room:
                [row] = await self._reads.read(statement, (period, partitions, dataset))
            return int(row.count)

        async def one(dataset: str, period: str) -> StoreCount:
            events, scores = [
                sum(await asyncio.gather(*(number(statement, dataset, period, part) for part in _PARTITIONS)))
                for statement in (COUNT_EVENTS, COUNT_SCORES)
            ]
            return StoreCount(dataset=dataset, period=period, events=events, scores=scores)

        counts = await asyncio.gather(*(one(dataset, period) for dataset in datasets for period in periods))
        return StoreCounts(counts=[count for count in counts if count.events or count.scores]).to_json()

    async def audit(self, request: Json, caller: RequestCaller) -> Json:
        """AuditQuery → AuditPage, newest first, for an identity that may ask this, or a person with a role that may."""
        if caller.on_behalf is None and caller.identity == TRUSTED_PROXY:
            raise Refused("FORBIDDEN", f"{TRUSTED_PROXY} asks about the audit trail for others only")
        roles = [self._contracts.roles[role] for role in caller.roles if role in self._contracts.roles]
        if caller.on_behalf is not None and not any(
            ("store", "audit") in operations(self._contracts, role.requests) for role in roles
        ):
            raise Refused("FORBIDDEN", f"no role of {caller.on_behalf.name} allows store.audit")
        return await audit.page(self._reads, _parse(AuditQuery, request), time.time_ns())

    async def _records(self, keys: Sequence[str], caller: RequestCaller) -> dict[str, bytes]:
        """Records by key, of those that the asker may read."""
        partitions: dict[tuple[str, int], list[UUID]] = {}
        for key in keys:
            partitions.setdefault(partition_of(key, self._length), []).append(UUID(key))
        pages = await asyncio.gather(
            *(self._reads.read(GET, (period, pp, members)) for (period, pp), members in partitions.items())
        )
        return {str(row.key): row.record for rows in pages for row in rows if caller.may_read(row.dataset)}

    def _datasets(self, asked: Collection[str] | None, caller: RequestCaller) -> list[str]:
        readable = [name for name in self._contracts.datasets if caller.may_read(name)]
        for name in asked or ():
            if name not in readable:
                raise Refused("FORBIDDEN", f"dataset {name!r} is not granted to you", pointer="/datasets")
        if not readable:
            raise Refused("FORBIDDEN", "no dataset is granted to you")
        return readable if asked is None else [name for name in readable if name in asked]


def _parse(model: type[Q], request: Mapping[str, Any]) -> Q:
    try:
        return model.model_validate(request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        pointer = "".join(f"/{part}" for part in first["loc"])
        raise Refused("QUERY_INVALID", first["msg"], pointer=pointer) from None
