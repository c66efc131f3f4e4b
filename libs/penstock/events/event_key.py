"""The event key: one identity of an event in every store, URL, dead letter and score.

Layout (a UUIDv8, RFC 9562 section 5.8; 122 bits are ours):

    48 bits  Unix milliseconds of the event's own time     -> keys sort by time and name their index period
     6 bits  pp, the partition of the event's entity        -> a key names its Cassandra partition
    68 bits  SHA-256(publisher 0 source 0 id 0 time in ns)  -> nobody can collide with another publisher's key
"""

from __future__ import annotations

import re
from hashlib import sha256

_KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_VARIANT = 2 << 62
_MAX_MS = 1 << 48


def event_key(publisher: str, source: str, id: str, time_ns: int, pp: int) -> str:
    """The key of an event, as UUID text.

    `time_ns` is the event's time in UTC nanoseconds since 1970, `pp` its partition (0..63). The three names
    must hold no NUL character (the check refuses control characters), as NUL separates them.
    """
    ms = time_ns // 1_000_000
    if not 0 <= ms < _MAX_MS:
        raise ValueError(f"time {time_ns} ns does not fit 48 bits of milliseconds")
    digest = sha256(f"{publisher}\0{source}\0{id}\0{time_ns}".encode()).digest()
    # 68 of the digest's bits: the first 6, and the 62 from the second byte on.
    low = f"{_VARIANT | int.from_bytes(digest[1:9], 'big') >> 2:016x}"
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-8{pp << 6 | digest[0] >> 2:03x}-{low[:4]}-{low[4:]}"


def key_time_ms(key: str) -> int:
    """Unix milliseconds of the event's time."""
    return int(key[0:8] + key[9:13], 16)


def key_partition(key: str) -> int:
    """The event's partition, 0..63."""
    return int(key[15:18], 16) >> 6


def is_key(text: str) -> bool:
    """Whether `text` is written as an event key: lower-case UUID text of version 8."""
    return _KEY.match(text) is not None
