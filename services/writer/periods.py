"""time → period of a partition

A partition holds one entity partition (pp, 64 of them) for one period. The default is a month: a pulled batch of live
or archived events then falls into few partitions, an entity's timeline over years is walked in a few hundred reads, and
a partition stays below 100 MB up to about 10 million events a month. Above that choose `day` before the first start.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from penstock.contracts import period_of
from penstock.rpc.messages import TimeRange

Length = Literal["day", "month", "year"]
DAY_MS = 86_400_000


def period(length: Length, time_ms: int) -> str:
    """The period that Unix milliseconds fall in: 2026-11-21, 2026-11 or 2026."""
    return _period(length, time_ms // DAY_MS)


@lru_cache(maxsize=65_536)
def _period(length: Length, day: int) -> str:
    return period_of(length, day * DAY_MS)


def overlapping(length: Length, periods: Iterable[str], time: TimeRange | None) -> list[str]:
    """Those of the periods that a range of time touches, in their order."""
    first = "" if time is None or time.from_ns is None else period(length, time.from_ns // 1_000_000)
    last = "~" if time is None or time.to_ns is None else period(length, (time.to_ns - 1) // 1_000_000)
    return [name for name in periods if first <= name <= last]
