"""TimelineQuery → periods, newest first → slices of one entity → entries

A position begins with the milliseconds of its event's time, so a range of time is a range of positions, and a position
is a place in the walk. Rows of before there were positions have the event's key in that column, which begins alike.
Periods that hold nothing are never looked into (table `periods`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from penstock.contracts import EventType, subjects
from penstock.errors import Refused
from penstock.events import is_key, timestamps
from penstock.rpc.messages import TimelineEntry, TimelinePage, TimelineQuery
from penstock.services.writer.periods import Length, overlapping, period
from penstock.services.writer.position import time_ns_of
from penstock.services.writer.queries.statements import PERIODS, TIMELINE, Reads
from penstock.services.writer.queries.timeline_rows import valid
from penstock.services.writer.queries.timeline_scores import with_scores

_ABREAST = 8  # periods asked at once
MOST_SEEN = 20_000  # rows of other datasets passed over before a page ends without being full
_LAST_MS = (1 << 48) - 1


async def page(reads: Reads, length: Length, request: TimelineQuery, types: Mapping[str, EventType]) -> TimelinePage:
    """One page, with those events whose type is in `types`. Raises Refused, Unavailable."""
    low = first_key(0 if request.time is None or request.time.from_ns is None else request.time.from_ns // 1_000_000)
    high = _high(request)
    noted = [row.period for row in await reads.read(PERIODS, (length,))]
    periods = [name for name in overlapping(length, noted, request.time) if name <= _period(high, length)]
    entries: list[TimelineEntry] = []
    seen, before = 0, high
    last = high
    async for row, event_type in _walk(reads, request, types, low, high, periods):
        if len(entries) == request.limit and event_type is not None:
            await with_scores(reads, length, entries)
            return TimelinePage(entity=request.entity, entries=entries, cursor=str(last))
        # A cursor says that there is more, so what may not be read must not make one, nor stand in it: only a long walk
        # over it ends the page, and then between two milliseconds.
        if seen >= MOST_SEEN and _ms(row.key) < _ms(before):
            await with_scores(reads, length, entries)
            return TimelinePage(entity=request.entity, entries=entries, cursor=str(first_key(_ms(before))))
        seen, before = seen + 1, row.key
        if event_type is not None:
            entries.append(_entry(row, event_type))
            last = row.key
    await with_scores(reads, length, entries)
    return TimelinePage(entity=request.entity, entries=entries)


async def _walk(
    reads: Reads,
    request: TimelineQuery,
    types: Mapping[str, EventType],
    low: UUID,
    high: UUID,
    periods: Sequence[str],
) -> AsyncIterator[tuple[Any, EventType | None]]:
    """Rows of the entity, newest first, beginning below `high`; with their types, where they are to be shown."""
    pp = subjects.partition(request.entity)
    most = request.limit + 1

    async def slice(name: str, high: UUID) -> list[Any]:
        return list(await reads.read(TIMELINE, (name, pp, request.entity, low, high, most)))

    for begin in range(0, len(periods), _ABREAST):
        group = periods[begin : begin + _ABREAST]
        for name, rows in zip(group, await asyncio.gather(*(slice(name, high) for name in group)), strict=True):
            while True:
                readable = [row for row in rows if row.type in types]
                shown = await valid(reads, (name, pp), request.entity, readable)
                for row in rows:
                    yield row, types[row.type] if row.key in shown else None
                if len(rows) < most:
                    break
                rows = await slice(name, rows[-1].key)


def _ms(key: UUID) -> int:
    return key.int >> 80


def first_key(time_ms: int) -> UUID:
    """The lowest key that an event at these milliseconds can have."""
    return UUID(int=time_ms << 80 | 8 << 76 | 2 << 62)


def _high(request: TimelineQuery) -> UUID:
    """All rows of the page lie below it."""
    if request.cursor is not None:
        if not is_key(request.cursor):
            raise Refused("QUERY_INVALID", "the cursor is not one of a timeline", pointer="/cursor")
        return UUID(request.cursor)
    to_ns = None if request.time is None else request.time.to_ns
    return first_key(_LAST_MS if to_ns is None else min((to_ns - 1) // 1_000_000 + 1, _LAST_MS))


def _period(high: UUID, length: Length) -> str:
    return period(length, min(high.int >> 80, _LATEST_MS))


def _entry(row: Any, event_type: EventType) -> TimelineEntry:
    time_ns = _ms(row.key) * 1_000_000 if row.event is None else time_ns_of(row.key)
    return TimelineEntry(
        key=str(row.event or row.key),
        time=timestamps.text(time_ns),
        type=row.type,
        dataset=event_type.dataset,
        publisher=row.publisher,
        summary=row.summary,
    )


_LATEST_MS = 253_402_300_799_999  # the end of the year 9999, the last that has a name
