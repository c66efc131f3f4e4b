"""rows of a timeline → those that stand where their event is now

An event that was sent again stands in its timeline once for each time that it was stored; one of before there were
positions that was written again stands there by its key, too. The row in `events`, which is one, says which of them
holds. Costs one read of Cassandra for each 500 rows, and a second one where a row does not hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from penstock.services.writer.queries.statements import POSITIONS, STANDING, Reads

_AT_ONCE = 500  # keys


async def valid(reads: Reads, partition: tuple[str, int], entity: str, rows: Sequence[Any]) -> set[UUID]:
    """The positions of the rows that hold, of those of one entity in one partition. Where the timeline does not have
    the row that would hold, as its table and that of the records can be rebuilt apart, any of them does."""
    event_of = {row.key: row.event or row.key for row in rows}
    found = await _at_once(reads, POSITIONS, partition, list(event_of.values()))
    now = {row.key: row.position for row in found}
    moved = {key: at for key, event in event_of.items() if (at := now.get(event)) is not None and at != key}
    standing = {row.key for row in await _at_once(reads, STANDING, (*partition, entity), list(moved.values()))}
    return {key for key in event_of if moved.get(key) not in standing}


async def _at_once(reads: Reads, statement: str, values: tuple[Any, ...], keys: Sequence[UUID]) -> list[Any]:
    parts = [keys[begin : begin + _AT_ONCE] for begin in range(0, len(keys), _AT_ONCE)]
    pages = await asyncio.gather(*(reads.read(statement, (*values, part)) for part in parts))
    return [row for page in pages for row in page]
