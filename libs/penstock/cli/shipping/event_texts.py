"""What a record says → the text of its CloudEvent, within the limits of the contract."""

from __future__ import annotations

from typing import Any

import orjson

from penstock.cli.shipping import log_json
from penstock.cli.shipping.documents import text_of
from penstock.errors import Refused
from penstock.events import MAX_EVENT_BYTES, timestamps

MOST_CHARACTERS = 60_000  # of a message; the contract takes 65,536
CUT = "cut_characters"  # label that says how many are missing
_LONGEST = {"level": 32, "logger": 512, "host": 255, "service": 255, "process": 255, "thread": 255, "file": 1024}
_SPARE = 4096  # bytes of an event that are not its message


def cloudevent(raw: bytes, value: dict[str, Any], time_ns: int) -> bytes:
    """A CloudEvent as it is; one without a time is given its own, so that sending it again is sending the same."""
    if value.get("time") is not None:
        return raw
    if "time" in value:
        return text_of({**value, "time": timestamps.text(time_ns)}).encode()
    return raw.replace(b"{", b'{"time":"%s",' % timestamps.text(time_ns).encode(), 1)


def cloudtrail(raw: bytes, record: dict[str, Any], id: str, time_ns: int) -> bytes:
    """A CloudTrail record, its bytes as they are, under CloudTrail's own id."""
    envelope = {
        "specversion": "1.0",
        "id": _name(str(record.get("eventID") or id), 256),
        "source": _name(f"urn:aws:cloudtrail:{record.get('recipientAccountId') or ''}", 512),
        "type": "cloud.audit.v1",
        "time": _rfc_3339(record["eventTime"], time_ns),
        "subject": _name(log_json.actor(record), 512),
    }
    return orjson.dumps(envelope)[:-1] + b',"data":' + raw + b"}"


def log_line(
    data: dict[str, Any], *, id: str, source: str, time_ns: int, stem: str, lost: int = 0
) -> tuple[bytes, bool]:
    """A log.line.v1, and whether a part of it had to be left out, which a label then says."""
    for name, most in _LONGEST.items():
        if name in data and len(data[name]) > most:
            lost += len(data[name]) - most + 1
            data[name] = data[name][: most - 1] + "…"
    message, most = data["message"], MOST_CHARACTERS
    while True:
        if len(message) > most:
            data["message"] = f"{message[:most]} … [{len(message) - most} characters left out]"
        if gone := lost + max(0, len(message) - most):
            data["labels"] = {**data.get("labels", {}), CUT: str(gone)}
        subject = data.get("host") or data.get("service") or data.get("process") or stem
        event = {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": "log.line.v1",
            "time": timestamps.text(time_ns),
            "subject": _name(subject, 512),
            "data": data,
        }
        text = orjson.dumps(event)
        if len(text) <= MAX_EVENT_BYTES or most < _SPARE:
            return text, gone > 0
        most //= 2


def _rfc_3339(text: str, time_ns: int) -> str:
    """The text where it is a time as the standard has it, else the time that was made of it."""
    try:
        timestamps.parse(text)
    except Refused:
        return timestamps.text(time_ns)
    return text


def _name(text: str, most: int) -> str:
    """A name for the envelope: not empty, not too long, and without control characters."""
    if not text.isprintable():
        text = "".join(" " if ord(each) < 32 or 127 <= ord(each) < 160 else each for each in text)
    return text[:most]
