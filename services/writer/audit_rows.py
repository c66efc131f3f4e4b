"""AUDIT → one row per record, by the hour"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from penstock.audit.record import names_in
from penstock.consume import Delivery
from penstock.events import timestamps
from penstock.services.writer.rows import Rows, bound

HOUR_NS = 3600 * 1_000_000_000
_SMALLINT, _BIGINT = Struct(">h").pack, Struct(">q").pack


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it comes off the stream."""

    sequence: int
    stored_at_ns: int
    subject: str
    payload: bytes


def read(delivery: Delivery) -> Record:
    """Whatever is on the trail is kept, also what cannot be read."""
    return Record(delivery.sequence, delivery.stored_at_ns, delivery.subject, delivery.data)


def rows(record: Record) -> Rows:
    """The row of a record: the same bytes whenever and however often it is delivered."""
    day, hour = partition(record.stored_at_ns // HOUR_NS)
    names = " ".join(["", *sorted(names_in(record.payload)), ""])
    row = bound(
        day.encode(),
        _SMALLINT(hour),
        _BIGINT(record.sequence),
        record.subject.encode(),
        _BIGINT(record.stored_at_ns),
        names.encode(),
        record.payload,
        _BIGINT(record.stored_at_ns // 1000),
    )
    return Rows(day, hour, len(row), (("audit", row),), noted=False)


def partition(hours: int) -> tuple[str, int]:
    """Day and hour of an hour since 1970."""
    return timestamps.text(hours * HOUR_NS)[:10], hours % 24
