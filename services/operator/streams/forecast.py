"""size and age of a stream → when it will be full, if it ever is

The pace is the faster of two: that of the last hour, and that over all that the stream holds. What grows slower than it
expires is never full.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.broker import StreamInfo

HOUR = 3600.0  # seconds
LEAST = 600.0  # seconds over which a pace means something


@dataclass(frozen=True, slots=True)
class Forecast:
    """`hours` until the stream is full at its pace (bytes a second); infinite when it never is."""

    share: float
    pace: float
    hours: float


class Growth:
    """What was stored into one stream lately, from looks at it."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def add(self, now: float, info: StreamInfo) -> float:
        """Adds a look; messages a second of the last hour, 0 as long as there is too little of it."""
        if self._looks and info.last_seq < self._looks[-1][1]:
            self._looks.clear()  # the stream was made anew
        self._looks.append((now, info.last_seq))
        while self._looks[0][0] < now - HOUR:
            self._looks.popleft()
        since, first = self._looks[0]
        return (info.last_seq - first) / (now - since) if now - since >= LEAST else 0.0


def forecast(info: StreamInfo, lately: float, now: datetime | None = None) -> Forecast:
    """For a stream into which `lately` messages a second were stored, of the mean size of those that it holds."""
    most = int(info.config.get("max_bytes", -1))
    if most <= 0 or not info.messages:
        return Forecast(0.0, 0.0, math.inf)
    age = ((now or datetime.now(UTC)) - datetime.fromisoformat(info.first_time)).total_seconds()
    pace = max(lately * info.bytes / info.messages, info.bytes / max(age, HOUR))
    kept = int(info.config.get("max_age", 0) or 0) / 1e9
    fills = pace > 0 and (not kept or pace * kept > most)
    return Forecast(info.bytes / most, pace, max(most - info.bytes, 0) / pace / HOUR if fills else math.inf)
