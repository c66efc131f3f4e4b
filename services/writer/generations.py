"""events, timeline ⇄ events_b, timeline_b: which of the two is live, and whether the other is kept current beside it

One row for each table says so, in Cassandra. Every process uses what it has read for rebuild.LEASE at most: whatever is
written later than that, after a second table was opened, goes to both, and a swap needs nobody's consent.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.replay.rebuild import LEASE
from penstock.services.writer.rows import COLUMNS

SECOND = {"events": "events_b", "timeline": "timeline_b"}
LIST = "SELECT name, live, beside FROM {keyspace}.generations WHERE part = 'all'"
# Conditional: the clocks of two writers cannot put an older one above it, and of two changes that were decided by the
# same row the second is not made.
SET = (
    "UPDATE {keyspace}.generations SET live = ?, beside = ? WHERE part = 'all' AND name = ? IF live = ? AND beside = ?"
)
_NAMED = re.compile(r"\{keyspace\}\.(events|timeline)\b")


@dataclass(frozen=True, slots=True)
class Generation:
    """Of one table: the name of the live one, and of the other while it is kept current."""

    live: str
    beside: str | None = None


FIRST: Mapping[str, Generation] = {name: Generation(name) for name in SECOND}


class Generations:
    """What this process knows of them. `read` resolves with the rows of LIST. `written`: by table where its rows go;
    `filled`: where those of a rebuild go."""

    def __init__(
        self, read: Callable[[], Awaitable[Iterable[Any]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._know(FIRST)
        self._read = read
        self._clock = clock
        self._read_at = -LEASE
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """What is known is not older than LEASE afterwards. Raises what the driver raises."""
        if self._clock() - self._read_at >= LEASE:
            async with self._reading:
                if self._clock() - self._read_at >= LEASE:
                    await self.look()

    async def look(self) -> None:
        """Reads the rows now. Raises what the driver raises."""
        began = self._clock()
        rows = await self._read()
        self._know({**FIRST, **{row.name: Generation(row.live, row.beside) for row in rows}})
        self._read_at = began

    def _know(self, of: Mapping[str, Generation]) -> None:
        self.of = of
        self.filled = {table: (each.beside,) for table, each in of.items() if each.beside is not None}
        self.written: dict[str, tuple[str, ...]] = {table: (table,) for table in COLUMNS}
        self.written |= {table: (each.live, *self.filled.get(table, ())) for table, each in of.items()}


def both(table: str) -> tuple[str, ...]:
    """The names under which a table exists."""
    return (table, SECOND[table]) if table in SECOND else (table,)


def table_of(statement: str) -> str | None:
    """The table that a statement names, where it exists twice."""
    found = _NAMED.search(statement)
    return found[1] if found else None
