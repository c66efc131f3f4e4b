"""svc.store_replay.count: how many events a page of a partition holds, by dataset and day or hour of their own time

A row was written as of the moment when its event was accepted, so its record need not be read.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from penstock.events import key_time_ms, timestamps
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import PERIOD_CHARACTERS, CountStored, HeldCount, HeldCounts
from penstock.services.writer.queries.statements import COUNT_HELD, Reads

Json = dict[str, Any]
_FIRST_KEY = 8 << 76 | 2 << 62  # version and variant of a key, with nothing else


class HeldStored:
    """Counts page by page; whoever asks remembers how far it is."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    async def count(self, request: Json, _: RequestCaller) -> Json:
        """CountStored → HeldCounts."""
        wanted = CountStored.read(request)
        begin, end, since, until = (
            timestamps.parse(each) for each in (wanted.begin, wanted.end, wanted.since, wanted.until)
        )
        after = UUID(wanted.after) if wanted.after else _before(begin)
        rows = list(await self._reads.read(COUNT_HELD, (wanted.period, wanted.pp, after, _before(end), wanted.limit)))
        held: Counter[tuple[str, str]] = Counter()
        older: Counter[tuple[str, str]] = Counter()
        for row in rows:
            accepted = row.accepted * 1000
            if accepted < until:
                time = timestamps.text(key_time_ms(str(row.key)) * 1_000_000)
                (held if accepted >= since else older)[row.dataset, time[: PERIOD_CHARACTERS[wanted.per]]] += 1
        return HeldCounts(
            counts=[
                HeldCount(dataset=dataset, period=label, held=held[dataset, label], older=older[dataset, label])
                for dataset, label in sorted(held.keys() | older.keys())
            ],
            after=str(rows[-1].key) if rows else wanted.after,
            end=len(rows) < wanted.limit,
        ).to_json()


def _before(time_ns: int) -> UUID:
    """What all keys of that time and later are behind; times are compared by the millisecond, as keys have them."""
    return UUID(int=(-(-time_ns // 1_000_000)) << 80 | _FIRST_KEY)
