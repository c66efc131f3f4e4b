"""The one check of an event: applied before it is published, and by every worker again when it is delivered.

Whatever passes can be stored by every store. A worker measures time against the moment of storing, never against
now, so that a replay decides as the first delivery did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

import jsonschema_rs
import yaml

from penstock.contracts import Contracts, EventType, wording
from penstock.contracts.subjects import Door, parse_event, partition
from penstock.contracts.validator import compile_schema
from penstock.errors import Refused
from penstock.events import ijson, timestamps
from penstock.events.event import Event
from penstock.events.event_key import event_key
from penstock.events.metrics import DRIFTED
from penstock.events.violation import sentence

MAX_EVENT_BYTES = 256 * 1024
# Between the ingress's clock and the stream's lies a commit, and perhaps a skew: a worker is that much more lenient,
# so that what the ingress accepted is never refused by a worker.
_SLACK_NS = timedelta(minutes=10) // timedelta(microseconds=1) * 1000


class Delivered(Protocol):
    """What the check needs of a delivery (see lane.Delivery)."""

    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str] | None: ...
    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def stored_at_ns(self) -> int: ...


class Checker:
    """Checks events against the contracts. One for a process; it holds the compiled schemas."""

    def __init__(self, contracts: Contracts) -> None:
        self._types = contracts.types
        with (contracts.root / "envelope.yaml").open(encoding="utf-8") as file:
            envelope = yaml.safe_load(file)
        self._validators = {name: _validator(envelope, each, each.data) for name, each in self._types.items()}
        # For what is not as described, so that the others cost no more.
        drifting = {name: each for name, each in self._types.items() if each.drift == "kept"}
        self._kept = {name: _validator(envelope, each, each.kept_data) for name, each in drifting.items()}
        self._envelope = compile_schema(envelope)

    def at_ingress(self, raw: bytes, *, publisher: str, door: Door, now_ns: int) -> Event:
        """Checks an event that arrives now. One without a time is stamped with `now_ns` (its bytes too).

        Raises Refused with a code, the rule broken and a pointer into the event.
        """
        raw, value = self.parse(raw)
        return self.accept(raw, value, publisher=publisher, door=door, now_ns=now_ns, stamp=True)

    @staticmethod
    def parse(raw: bytes) -> tuple[bytes, Any]:
        """The event's bytes on one line, and their value. Raises Refused when they are not one I-JSON value."""
        if len(raw) > MAX_EVENT_BYTES:
            raise Refused("EVENT_TOO_LARGE", f"the event has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are taken")
        value = ijson.parse(raw)
        return ijson.one_line(raw), value

    def accept(
        self,
        raw: bytes,
        value: Any,
        *,
        publisher: str,
        door: Door,
        now_ns: int,
        slack_ns: int = 0,
        stamp: bool = False,
    ) -> Event:
        """Checks a parsed event (`raw` on one line). `stamp` writes the time of arrival into an event without one.

        Raises Refused.
        """
        try:
            event_type = self._typed(value)
        except Refused:
            if not isinstance(value, dict) or None not in value.values():
                raise
            # An attribute that is null is absent (JSON format, section 2.2). Others leave the bytes as they came.
            value = {name: member for name, member in value.items() if member is not None}
            raw = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            event_type = self._typed(value)
        text = value.get("time")
        if text is None:
            # Whole milliseconds: what the key and every store can say without loss.
            time_ns = now_ns // 1_000_000 * 1_000_000
        else:
            time_ns = timestamps.parse(text)
            _in_bounds(event_type, time_ns, now_ns, slack_ns)
        subject = value.get("subject")
        source, id = value["source"], value["id"]
        entity = subject if subject is not None else source + id
        pp = partition(entity)
        if text is None and stamp:
            raw, value = _stamp(raw, value, time_ns)
        key = event_key(publisher, source, id, time_ns, pp)
        return Event(key, raw, value, event_type, publisher, door, pp, entity, time_ns)

    def delivered(self, delivery: Delivered) -> Event:
        """Checks an event that a worker was delivered, and that subject and event agree. Raises Refused."""
        subject = parse_event(delivery.subject)
        raw, value = self.parse(delivery.data)
        event = self.accept(
            raw,
            value,
            publisher=subject.publisher,
            door=subject.door,
            now_ns=delivery.stored_at_ns,
            slack_ns=_SLACK_NS,
        )
        if event.type.type != subject.type:
            raise Refused("SUBJECT_MISMATCH", f"the subject says {subject.type}, the event {event.type.type}")
        if event.pp != subject.pp:
            raise Refused(
                "SUBJECT_MISMATCH",
                f"the subject says partition {subject.pp:02x}, its entity is in {event.pp:02x}",
            )
        event.stream = delivery.stream
        event.sequence = delivery.sequence
        event.stored_at_ns = delivery.stored_at_ns
        if delivery.headers:
            event.reply_to = delivery.headers.get("x-reply-to")
            event.traceparent = delivery.headers.get("traceparent")
        return event

    def _typed(self, value: Any) -> EventType:
        """The event's type, once the whole event fits it."""
        if isinstance(value, dict):
            name = value.get("type")
            validator = self._validators.get(name) if isinstance(name, str) else None
            if validator is not None:
                if validator.is_valid(value):
                    return self._types[name]  # type: ignore[index]
                kept = self._kept.get(name)  # type: ignore[arg-type]
                if kept is not None and kept.is_valid(value):
                    DRIFTED.labels(name).inc()
                    return self._types[name]  # type: ignore[index]
                raise _violation(kept or validator, value)
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise _violation(self._envelope, value)
        raise Refused("TYPE_UNKNOWN", f"{value['type'][:128]!r} is not a type of the contract", pointer="/type")


def _validator(envelope: Mapping[str, Any], event_type: EventType, data: Mapping[str, Any]) -> jsonschema_rs.Validator:
    properties = {**envelope["properties"], "data": data}
    required = [*envelope["required"], *(["subject"] if event_type.entity.required else [])]
    schema = {**envelope, "properties": properties, "required": required, "$defs": data.get("$defs", {})}
    return compile_schema(schema)


def _violation(validator: jsonschema_rs.Validator, value: Any) -> Refused:
    """The first rule that the event breaks, as the error it deserves."""
    error = next(iter(validator.iter_errors(value)))
    path = list(error.instance_path)
    code = "SCHEMA_VIOLATION" if path[:1] == ["data"] else "ENVELOPE_INVALID"
    unexpected = getattr(error.kind, "unexpected", None)
    if unexpected:
        path.append(unexpected[0])
        if len(path) == 1:
            code = "ATTRIBUTE_UNKNOWN"
    return Refused(code, _shorten(sentence(error)), pointer=wording.pointer(path))


def _shorten(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-most // 2 :]}"


def _in_bounds(event_type: EventType, time_ns: int, now_ns: int, slack_ns: int) -> None:
    if not -event_type.past_ns - slack_ns <= time_ns - now_ns <= event_type.future_ns + slack_ns or time_ns < 0:
        raise Refused(
            "TIME_OUT_OF_BOUNDS",
            f"{event_type.type} takes times from {event_type.time.past} before to {event_type.time.future} after now",
            pointer="/time",
        )


def _stamp(raw: bytes, value: dict[str, Any], time_ns: int) -> tuple[bytes, dict[str, Any]]:
    """The event with its time of arrival put in front; the other bytes stay as they came."""
    text = timestamps.text(time_ns)
    return raw.replace(b"{", b'{"time":"%s",' % text.encode(), 1), {"time": text, **value}
