"""event without a time → the time that it gets: that of its first try, when the same bytes are sent again"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from penstock.recent_cache import RecentCache

REMEMBERED = 8192  # events without a time
LONGEST_NS = 3600 * 1_000_000_000  # whoever tries again does so earlier; later it is more likely another event


class Stamps:
    """What one process remembers of the events that it gave a time."""

    def __init__(self) -> None:
        self._recent: RecentCache[bytes, int] = RecentCache(REMEMBERED)

    def of(self, publisher: str, raw: bytes, value: Any, now_ns: int) -> int:
        """`now_ns`, or when the same event of the same publisher came first, in Unix nanoseconds. `raw` are the event's
        bytes, `value` what they say."""
        if not isinstance(value, dict) or value.get("time") is not None:
            return now_ns
        digest = sha256(b"%b\0%b" % (publisher.encode(), raw)).digest()
        first_ns = self._recent.get(digest)
        if first_ns is None or not 0 <= now_ns - first_ns < LONGEST_NS:
            self._recent.put(digest, now_ns)
            return now_ns
        return first_ns
