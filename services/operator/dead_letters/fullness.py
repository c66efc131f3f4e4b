"""DLQ → how full it is, and when it will be full at the pace of the last hour. A full DLQ stops its workers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from penstock.broker import StreamInfo
from penstock.services.operator.dead_letters.index import Index

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Fullness:
    """`full_in_hours`: None when it never fills at this pace, as dead letters expire before."""

    bytes: int
    max_bytes: int
    per_hour: int
    full_in_hours: float | None

    @property
    def share(self) -> float:
        """Of max_bytes."""
        return self.bytes / self.max_bytes if self.max_bytes > 0 else 0.0


def max_age_hours(info: StreamInfo) -> float | None:
    """How long a dead letter is kept; None for ever."""
    age = int(info.config.get("max_age", 0) or 0)
    return age / 1e9 / HOUR if age else None


def fullness(index: Index, info: StreamInfo, now: float | None = None) -> Fullness:
    """From the dead letters of the last hour and the mean size of all."""
    since = int(time.time() if now is None else now) - HOUR
    lately = index.dead_letters_since(since)
    per_hour = lately * info.bytes // max(info.messages, 1)
    max_bytes = int(info.config.get("max_bytes", -1))
    left: float | None = None
    kept = max_age_hours(info)
    if max_bytes > 0 and per_hour and (kept is None or per_hour * kept > max_bytes):
        left = round(max(max_bytes - info.bytes, 0) / per_hour, 2)
    return Fullness(info.bytes, max_bytes, per_hour, left)
