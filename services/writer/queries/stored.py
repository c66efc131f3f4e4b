"""Rows of `events` and `scores` → the messages they were stored from, and where their events were first stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from penstock.contracts import subjects
from penstock.events import timestamps
from penstock.rpc.messages import StoredUpTo

_HEAD = re.compile(
    rb'\{"key":"[^"]+","time":"[^"]+","publisher":"([^"]+)","door":"([^"]+)","stream":"([^"]+)",'
    rb'"sequence":(\d+),"stored_at":"([^"]+)","entity":'
)
_EVENT = b',"event":'
_FIRST = UUID(int=0)
_DAY_NS = 86_400 * 1_000_000_000
_EPOCHS_BEGIN_NS = timestamps.parse("2024-01-01T00:00:00Z")  # day 0 of the streams' epochs


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, taken apart. `data`: the bytes of the message; `model` of a score, `door` of an event; `stream` and
    `sequence` of the event, also where the record is its score."""

    key: str
    data: bytes
    type: str
    publisher: str
    stream: str
    sequence: int
    stored_at_ns: int
    entity: str
    door: str = ""
    model: str = ""

    def subject(self, pp: int) -> str:
        """The subject that the message had."""
        if self.model:
            return subjects.score(pp, self.model, self.type)
        return subjects.event(pp, self.door, self.publisher, self.type)  # type: ignore[arg-type]


def stored_event(key: str, record: bytes) -> Stored:
    """The record as penstock.events.record wrote it. Raises ValueError when it did not."""
    # A quotation mark within the entity is escaped, so the first `,"event":` is the record's own.
    head, at = _HEAD.match(record), record.find(_EVENT)
    if head is None or at < head.end() or not record.endswith(b"}"):
        raise ValueError(f"the record of {key} is not one of events")
    publisher, door, stream, sequence, stored_at = [part.decode() for part in head.groups()]
    entity = orjson.loads(record[head.end() : at])
    event = record[at + len(_EVENT) : -1]
    type = str(orjson.loads(event)["type"])
    return Stored(key, event, type, publisher, stream, int(sequence), timestamps.parse(stored_at), entity, door=door)


def stored_score(key: str, model: str, score: bytes) -> Stored:
    """A score as it was on SCORES. Raises ValueError or KeyError when it is none."""
    value = orjson.loads(score)
    return Stored(
        key,
        score,
        value["type"],
        value["publisher"],
        value["stream"],
        value["sequence"],
        timestamps.parse(value["stored_at"]),
        value["entity"],
        model=model,
    )


def epoch_of(record: Stored, now: StoredUpTo) -> int:
    """Of the stream when it stored the event. Epochs are days of creation, so that of a stream which is no more is at
    most the day of the record; whatever came after it has that day and a higher sequence, or a later day."""
    day = (record.stored_at_ns - _EPOCHS_BEGIN_NS) // _DAY_NS
    return now.epoch if now.first <= record.sequence and day >= now.epoch else max(min(day, now.epoch), 0)


def place_of(row: Any) -> str:
    """Where a row of `scores` stands within its partition; `parse_place` reads it."""
    return f"{row.key}/{row.model}/{row.version}"


def parse_place(place: str | None) -> tuple[UUID, str, int]:
    """Key, model and version; a key alone is the place before its first score, None the beginning."""
    if place is None:
        return _FIRST, "", 0
    key, model, version = (*place.split("/"), "", "0")[:3]
    return UUID(key), model, int(version)
