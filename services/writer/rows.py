"""event → row of `events` and row of `timeline`;  score → row of `scores`: bound values, as the wire has them

Cassandra's types are simple on the wire (text is UTF-8, numbers are big-endian, a uuid is its 16 bytes; native protocol
v4, section 3), and writing them here costs a fifth of what the driver's general way does.
"""

from __future__ import annotations

from binascii import unhexlify
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Literal

from penstock.events import Event, key_partition, key_time_ms, record
from penstock.scoring.score import Score
from penstock.services.writer.periods import DAY_MS, Length, period
from penstock.services.writer.position import position
from penstock.services.writer.summary import summary

Table = Literal["events", "timeline", "scores", "audit"]
COLUMNS: dict[Table, tuple[str, ...]] = {
    "events": ("period", "pp", "key", "position", "dataset", "record"),
    "timeline": ("period", "pp", "entity", "key", "event", "type", "publisher", "summary"),
    "scores": ("period", "pp", "key", "model", "version", "dataset", "score"),
    "audit": ("day", "hour", "sequence", "subject", "stored_at", "names", "record"),
}
_SMALLINT, _INT = Struct(">h").pack, Struct(">i").pack
_LENGTH = _INT  # a [value] on the wire has its length before it
_KEY, _TIMESTAMP = _LENGTH(16), Struct(">iq").pack
_PP = [_SMALLINT(pp) for pp in range(64)]


@dataclass(slots=True)
class Rows:
    """All rows of one message, all in one partition. `statements`: table and the bound values of its insert; `size`:
    their bytes; `noted`: whether its period stands in the table `periods`; `fill`: the rows go to tables that are
    filled beside the live ones, and nowhere else."""

    period: str
    pp: int
    size: int
    statements: tuple[tuple[Table, bytes], ...]
    noted: bool = True
    fill: bool = False


def bound(*values: bytes) -> bytes:
    """Values one behind the other, each with its length."""
    return b"".join([part for value in values for part in (_LENGTH(len(value)), value)])


def event_rows(event: Event, length: Length) -> Rows:
    """The rows of an event: the same bytes whenever and however often it is delivered."""
    type, (ms, ns) = event.type, divmod(event.time_ns, 1_000_000)
    in_period, place = _partition(length, ms // DAY_MS, event.pp)
    key = uuid_bytes(event.key)
    at, key_value = position(ms, ns, event.sequence, event.door, key), _KEY + key
    written_at = _TIMESTAMP(8, event.stored_at_ns // 1000)
    stored, entity, text = record(event), event.entity.encode(), summary(type, event.value["data"]).encode()
    row = b"".join((place, key_value, at, _name(type.dataset), _LENGTH(len(stored)), stored, written_at))
    entry = b"".join(
        (
            place,
            _LENGTH(len(entity)),
            entity,
            at,
            key_value,
            _names(type.type, event.publisher),
            _LENGTH(len(text)),
            text,
            written_at,
        )
    )
    return Rows(in_period, event.pp, len(row) + len(entry), (("events", row), ("timeline", entry)))


def score_rows(score: Score, length: Length) -> Rows:
    """The row of a score; written as of the moment when its event was stored, so that a replay changes nothing."""
    in_period, place = _partition(length, score.time_ms // DAY_MS, score.pp)
    raw = score.raw
    row = b"".join(
        (
            place,
            _KEY,
            uuid_bytes(score.key),
            _scored_by(score.model, score.version, score.dataset),
            _LENGTH(len(raw)),
            raw,
            _TIMESTAMP(8, score.stored_at_ns // 1000),
        )
    )
    return Rows(in_period, score.pp, len(row), (("scores", row),))


@lru_cache(maxsize=16_384)
def _partition(length: Length, day: int, pp: int) -> tuple[str, bytes]:
    """The period of a day since 1970, and the values of the partition key."""
    in_period = period(length, day * DAY_MS)
    return in_period, _place(in_period, pp)


@lru_cache(maxsize=16_384)
def _place(in_period: str, pp: int) -> bytes:
    return bound(in_period.encode(), _PP[pp])


@lru_cache(maxsize=16_384)
def _name(text: str) -> bytes:
    """For what many rows share."""
    return bound(text.encode())


@lru_cache(maxsize=16_384)
def _scored_by(model: str, version: int, dataset: str) -> bytes:
    return _name(model) + bound(_INT(version)) + _name(dataset)


@lru_cache(maxsize=16_384)
def _names(type: str, publisher: str) -> bytes:
    return _name(type) + _name(publisher)


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a key."""
    return unhexlify(text.replace("-", ""))


def partition_of(text: str, length: Length) -> tuple[str, int]:
    """The partition that the rows of a key are in."""
    return period(length, key_time_ms(text)), key_partition(text)


def routing_key(in_period: str, pp: int) -> bytes:
    """The partition key as Cassandra hashes it: each component with its length before and a zero byte behind."""
    text = in_period.encode()
    return b"%b%b\0\0\2%b\0" % (_SMALLINT(len(text)), text, _PP[pp])
