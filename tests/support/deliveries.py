"""Deliveries for tests of the sinks: events as they come off a stream, without one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from penstock.contracts import load, subjects
from penstock.events import Checker, Event, timestamps
from penstock.scoring import vectors
from penstock.scoring.score import Score, read_score

CONTRACTS = load()
CHECKER = Checker(CONTRACTS)
NOON = timestamps.parse("2026-11-01T12:00:00Z")
_IDS = count(1)


@dataclass(frozen=True)
class Delivered:
    """A delivery with only what decoding needs."""

    subject: str
    data: bytes
    stream: str = "EVENTS_HTTP"
    sequence: int = 1
    stored_at_ns: int = NOON
    headers: Mapping[str, str] = field(default_factory=dict)


def delivery_of(raw: bytes, *, publisher: str = "example", **facts: Any) -> Delivered:
    """The delivery of an event that the ingress accepts at NOON."""
    event = CHECKER.at_ingress(raw, publisher=publisher, door="http", now_ns=NOON)
    return Delivered(event.subject, event.raw, **facts)


def line(message: str, *, id: str = "", time: str = "2026-11-01T11:00:00Z", host: str = "web_1", **data: Any) -> bytes:
    """A log line as an event; its id is a new one unless it is given."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": id or f"{next(_IDS)}",
            "source": "/tests",
            "type": "log.line.v1",
            "subject": host,
            "time": time,
            "data": {"message": message, "host": host, **data},
        }
    )


def sample(name: str, value: float, *, time: str = "2026-11-01T11:00:00Z", host: str = "web_1") -> bytes:
    """A sample of a metric as an event."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{next(_IDS)}",
            "source": "/tests",
            "type": "metric.sample.v1",
            "subject": host,
            "time": time,
            "data": {"name": name, "value": value, "host": host},
        }
    )


def event_of(raw: bytes, *, sequence: int = 1, publisher: str = "example", headers: Mapping[str, str] = {}) -> Event:
    """The event as a worker has it."""
    return CHECKER.delivered(delivery_of(raw, publisher=publisher, sequence=sequence, headers=headers))


def score_delivery(
    event: Event, *, score: float = 0.5, model: str = "lines", version: int = 1, angle: float = 0.0, **members: Any
) -> Delivered:
    """The delivery of what a model said of an event. `angle` turns its vector; any member can be given."""
    vector = (math.cos(angle), math.sin(angle), *[0.0] * (vectors.DIMS - 2))
    body = {
        "key": event.key,
        "type": event.type.type,
        "dataset": event.type.dataset,
        "time": timestamps.text(event.time_ns),
        "time_ms": event.time_ms,
        "entity": event.entity,
        "publisher": event.publisher,
        "pp": event.pp,
        "stream": event.stream,
        "sequence": event.sequence,
        "stored_at": timestamps.text(event.stored_at_ns),
        "model": {"name": model, "version": version, "schema": "5c", "digest": "d1"},
        "score": score,
        "raw": score * 10,
        "pattern": "session opened for user <n>",
        "pattern_id": "ab12",
        "vector": vectors.to_text(vector),
        "fields": {path: event.value["data"][path] for path in event.type.indexed if path in event.value["data"]},
        **members,
    }
    subject = subjects.score(event.pp, model, event.type.type)
    return Delivered(subject, orjson.dumps(body), stream="SCORES")


def score_of(event: Event, **members: Any) -> Score:
    """A score as a worker has it."""
    return read_score(score_delivery(event, **members), CONTRACTS)
