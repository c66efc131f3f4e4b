"""An event that has passed the check, and the record of it that both stores keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from penstock.contracts import EventType
from penstock.contracts.subjects import Door, event
from penstock.events import timestamps


@dataclass(slots=True)
class Event:
    """What the ingress and every worker work with. Everything but `raw` and `value` is proven by subject and stream.

    `raw` is one line of JSON, `value` what it says; times are Unix nanoseconds. `stream`, `sequence` and
    `stored_at_ns` are known once the event is on its stream.
    """

    key: str
    raw: bytes
    value: dict[str, Any]
    type: EventType
    publisher: str
    door: Door
    pp: int
    entity: str
    time_ns: int
    stream: str = ""
    sequence: int = 0
    stored_at_ns: int = 0
    reply_to: str | None = None
    traceparent: str | None = None
    epoch: int = 0  # of its stream, where that is not the present one

    @property
    def time_ms(self) -> int:
        """The event's time in Unix milliseconds."""
        return self.time_ns // 1_000_000

    @property
    def subject(self) -> str:
        """Where the event is published."""
        return event(self.pp, self.door, self.publisher, self.type.type)


def record(event: Event) -> bytes:
    """The stored record: the event's bytes as they came, wrapped in what subject and stream prove.

    `{"key", "time", "entity", "publisher", "door", "stream", "sequence", "stored_at", "event": {...}}`, one line.
    """
    head = (
        f'{{"key":"{event.key}","time":"{timestamps.text(event.time_ns)}",'
        f'"publisher":"{event.publisher}","door":"{event.door}","stream":"{event.stream}",'
        f'"sequence":{event.sequence},"stored_at":"{timestamps.text(event.stored_at_ns)}","entity":'
    )
    return b"".join((head.encode(), orjson.dumps(event.entity), b',"event":', event.raw, b"}"))
