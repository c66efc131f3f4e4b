"""Which periods hold anything: each is noted in the table `periods` before its first row is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from penstock.services.writer.periods import Length
from penstock.services.writer.store import Store

NOTE = "INSERT INTO {keyspace}.periods (length, period) VALUES (?, ?)"
LIST = "SELECT period FROM {keyspace}.periods WHERE length = ?"


class KnownPeriods:
    """Remembers what this process has noted; another one notes it again, which changes nothing."""

    def __init__(self, store: Store, length: Length) -> None:
        self._store = store
        self._length = length
        self._noted: set[str] = set()

    def missing(self, periods: Iterable[str]) -> set[str]:
        """Those that this process has not noted yet."""
        return set(periods) - self._noted

    async def note(self, periods: Iterable[str]) -> None:
        """Returns when the periods are noted on disk. Raises what the driver raises."""
        missing = self.missing(periods)
        await asyncio.gather(*(self._store.read(NOTE, (self._length, period)) for period in missing))
        self._noted |= missing

    async def newest_first(self) -> list[str]:
        """All periods that hold anything. Raises what the driver raises."""
        return [row.period for row in await self._store.read(LIST, (self._length,))]
