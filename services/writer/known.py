"""Which periods hold anything: each is noted in the table `periods` before its first row is written."""

from __future__ import annotations

import asyncio

from services.writer.periods import Length
from services.writer.store import Store

NOTE = "INSERT INTO {keyspace}.periods (length, period) VALUES (?, ?)"
LIST = "SELECT period FROM {keyspace}.periods WHERE length = ?"


class KnownPeriods:
    """Remembers what this process has noted; another one notes it again, which changes nothing."""

    def __init__(self, store: Store, length: Length) -> None:
        self._store = store
        self._length = length
        self._noted: set[str] = set()
        self._one = asyncio.Lock()

    async def note(self, period: str) -> None:
        """Returns when the period is noted on disk. Raises what the driver raises."""
        if period in self._noted:
            return
        async with self._one:
            if period not in self._noted:
                await self._store.read(NOTE, (self._length, period))
                self._noted.add(period)

    async def newest_first(self) -> list[str]:
        """All periods that hold anything. Raises what the driver raises."""
        return [row.period for row in await self._store.read(LIST, (self._length,))]
