"""event → row of `events` and row of `timeline`;  score → row of `scores`: bound values, as the wire has them

Cassandra's types are simple on the wire (text is UTF-8, numbers are big-endian, a uuid is its 16 bytes), and writing
them here costs a third of what the driver's general way does.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Literal

from penstock import key
from penstock.event import Event, record
from penstock.scores import Score
from services.writer.periods import Length, period
from services.writer.summary import summary

Table = Literal["events", "timeline", "scores", "audit"]
COLUMNS: dict[Table, tuple[str, ...]] = {
    "events": ("period", "pp", "key", "dataset", "record"),
    "timeline": ("period", "pp", "entity", "key", "type", "publisher", "summary"),
    "scores": ("period", "pp", "key", "model", "version", "dataset", "score"),
    "audit": ("day", "hour", "sequence", "subject", "stored_at", "names", "record"),
}
_SMALLINT, _INT, _BIGINT = Struct(">h").pack, Struct(">i").pack, Struct(">q").pack
_OTHERS = 200  # bytes of the values that are always short
_PP = [_SMALLINT(pp) for pp in range(64)]


@dataclass(slots=True)
class Rows:
    """All rows of one message, all in one partition. `statements`: table and the bound values of its insert; `size`:
    about as many bytes; `noted`: whether its period stands in the table `periods`."""

    period: str
    pp: int
    size: int
    statements: tuple[tuple[Table, tuple[bytes, ...]], ...]
    noted: bool = True


def event_rows(event: Event, length: Length) -> Rows:
    """The rows of an event: the same bytes whenever and however often it is delivered."""
    in_period, pp, key_bytes = period(length, event.time_ms), _PP[event.pp], uuid_bytes(event.key)
    period_bytes, written_at = in_period.encode(), _BIGINT(event.stored_at_ns // 1000)
    type = event.type
    stored, text = record(event), summary(type, event.value["data"]).encode()
    return Rows(
        in_period,
        event.pp,
        len(stored) + len(text) + _OTHERS,
        (
            ("events", (period_bytes, pp, key_bytes, type.dataset.encode(), stored, written_at)),
            (
                "timeline",
                (
                    period_bytes,
                    pp,
                    event.entity.encode(),
                    key_bytes,
                    type.type.encode(),
                    event.publisher.encode(),
                    text,
                    written_at,
                ),
            ),
        ),
    )


def score_rows(score: Score, length: Length) -> Rows:
    """The row of a score; written as of the moment when its event was stored, so that a replay changes nothing."""
    in_period = period(length, score.time_ms)
    values = (
        in_period.encode(),
        _PP[score.pp],
        uuid_bytes(score.key),
        score.model.encode(),
        _INT(score.version),
        score.dataset.encode(),
        score.raw,
        _BIGINT(score.stored_at_ns // 1000),
    )
    return Rows(in_period, score.pp, len(score.raw) + _OTHERS, (("scores", values),))


def uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a key."""
    return bytes.fromhex(text.replace("-", ""))


def partition_of(text: str, length: Length) -> tuple[str, int]:
    """The partition that the rows of a key are in."""
    return period(length, key.time_ms(text)), key.partition(text)


def routing_key(in_period: str, pp: int) -> bytes:
    """The partition key as Cassandra hashes it: each component with its length before and a zero byte behind."""
    text = in_period.encode()
    return b"%b%b\0\0\2%b\0" % (_SMALLINT(len(text)), text, _PP[pp])
