"""Where an event stands in the timeline of its entity: by its time in nanoseconds, then as its stream has it.

A position has the layout of a key (a UUIDv8), as it stands in the column where rows of older versions have their key:

    48 bits  Unix milliseconds of the event's own time     -> as in the key: both kinds of rows are sorted together
    20 bits  nanoseconds within the millisecond
    48 bits  sequence                                      -> events of equal time are in the order of their stream
     1 bit   the stream: that of HTTP, or that of NATS
     5 bits  of the key                                    -> apart from what a stream had before it was made anew
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any
from uuid import UUID

from penstock.contracts.subjects import Door
from penstock.events import timestamps

_PACK = Struct(">iQQ").pack
_MS = 1_000_000
_SEQUENCE = (1 << 48) - 1
_VERSION, _VARIANT = 8 << 12, 2 << 62
_OF_DOOR = {"http": _VARIANT, "nats": _VARIANT | 32}


def position(ms: int, ns: int, sequence: int, door: Door, key: bytes) -> bytes:
    """The position of an event as a bound value: its 16 bytes, with their length before. Its time is `ms` Unix
    milliseconds and `ns` nanoseconds; `key` as its 16 bytes."""
    low = _OF_DOOR[door] | (sequence & _SEQUENCE) << 6 | key[15] & 31
    if ns:
        return _PACK(16, ms << 16 | _VERSION | ns >> 8, low | (ns & 255) << 54)
    return _PACK(16, ms << 16 | _VERSION, low)


def position_of(record: Mapping[str, Any]) -> UUID:
    """The position of the event in a stored record."""
    ms, ns = divmod(timestamps.parse(record["time"]), _MS)
    bound = position(ms, ns, record["sequence"], record["door"], UUID(record["key"]).bytes)
    return UUID(bytes=bound[4:])


def time_ns_of(position: UUID) -> int:
    """Unix nanoseconds of the event's own time."""
    ms = position.int >> 80
    return ms * _MS + (position.int >> 64 & 0xFFF) * 256 + (position.int >> 54 & 255)
