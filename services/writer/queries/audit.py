"""AuditQuery → hours, newest first → records, by identity and action

Hours that hold nothing are looked into nevertheless: a day has 24, and each is one read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from penstock.audit import hash_chain
from penstock.contracts import subjects
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.rpc.messages import AuditQuery
from penstock.services.writer.audit_rows import HOUR_NS, partition
from penstock.services.writer.queries.statements import AUDIT, Reads

DEFAULT_HOURS = 24
MOST_HOURS = 31 * 24  # looked into for one page
MOST_SEEN = 20_000  # rows passed over for one page
ROOM = 900 * 1024  # bytes of an answer
_ABREAST = 8
_PAGE = 1000
_LAST = (1 << 63) - 1


async def page(reads: Reads, request: AuditQuery, now_ns: int) -> dict[str, Any]:
    """One page, as an AuditPage on the wire. Raises Refused, Unavailable."""
    to_ns = request.time.to_ns if request.time and request.time.to_ns is not None else now_ns + HOUR_NS
    from_ns = request.time.from_ns if request.time else None
    if from_ns is None:
        from_ns = max(to_ns - DEFAULT_HOURS * HOUR_NS, 0)
    newest, below = (to_ns - 1) // HOUR_NS, _LAST
    if request.cursor is not None:
        newest, below = _place(request.cursor)
    oldest = max(from_ns // HOUR_NS, newest - MOST_HOURS + 1)
    found: list[dict[str, Any]] = []
    seen, room, last = 0, ROOM, (newest, below)
    async for hour, row in _walk(reads, newest, oldest, below):
        fits = from_ns <= row.stored_at < to_ns and _wanted(request, row)
        room -= len(row.record) + 400 if fits else 0
        if len(found) == request.limit or seen == MOST_SEEN or (room < 0 and found):
            return {"records": found, "cursor": f"{last[0]}:{last[1]}"}
        seen += 1
        last = (hour, row.sequence)
        if fits:
            found.append(_entry(row))
    if oldest > from_ns // HOUR_NS:
        return {"records": found, "cursor": f"{oldest - 1}:{_LAST}"}
    return {"records": found}


async def _walk(reads: Reads, newest: int, oldest: int, below: int) -> AsyncIterator[tuple[int, Any]]:
    """(hour, row), newest first."""

    async def some(hour: int, below: int) -> list[Any]:
        return list(await reads.read(AUDIT, (*partition(hour), below, _PAGE)))

    for first in range(newest, oldest - 1, -_ABREAST):
        hours = range(first, max(first - _ABREAST, oldest - 1), -1)
        pages = await asyncio.gather(*(some(hour, below if hour == newest else _LAST) for hour in hours))
        for hour, rows in zip(hours, pages, strict=True):
            while True:
                for row in rows:
                    yield hour, row
                if len(rows) < _PAGE:
                    break
                rows = await some(hour, rows[-1].sequence)


def _wanted(request: AuditQuery, row: Any) -> bool:
    if request.identity is not None and f" {request.identity} " not in row.names:
        return False
    return request.action is None or subjects.audit_action(row.subject) == request.action


def _entry(row: Any) -> dict[str, Any]:
    entry = {
        "sequence": row.sequence,
        "time": timestamps.text(row.stored_at),
        "subject": row.subject,
        "action": subjects.audit_action(row.subject),
        "digest": hash_chain.digest(row.sequence, row.stored_at, row.subject, row.record).hex(),
    }
    try:
        body = orjson.loads(row.record)
    except orjson.JSONDecodeError:
        return entry
    return entry | ({"record": body} if isinstance(body, dict) else {})


def _place(cursor: str) -> tuple[int, int]:
    hour, colon, sequence = cursor.partition(":")
    if not (colon and hour.isdecimal() and sequence.isdecimal() and len(hour) < 9 and int(sequence) <= _LAST):
        raise Refused("QUERY_INVALID", "the cursor is not one of the audit trail", pointer="/cursor")
    return int(hour), int(sequence)
