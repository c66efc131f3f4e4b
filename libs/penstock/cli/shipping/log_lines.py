"""lines of a file → records (a line, or a stack trace with its first line) → CloudEvents.

The same file gives the same events again: source and id come from the file's path, the record's place in it and its
text, the time from the line. A record without a time has that of the record before it; before the first one, that of
the file's last change.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zlib import crc32

import orjson

from penstock.cli.shipping import log_json
from penstock.cli.shipping.log_formats import CONTINUATION, FORMATS, Format
from penstock.cli.shipping.log_times import time_of
from penstock.events import timestamps

MOST_CHARACTERS = 60_000  # of a record; the contract takes 65,536
MOST_LINES = 500
_LIMITS = {"level": 32, "logger": 512, "host": 255, "service": 255, "process": 255, "thread": 255, "file": 1024}
_MEMBERS = (*_LIMITS, "pid", "message")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")


@dataclass(slots=True)
class Record:
    """A line with those that continue it; `offset` in bytes, `number` from 1."""

    raw: bytes
    offset: int
    number: int
    more: list[str] = field(default_factory=list)


class LogFile:
    """Makes events of the lines of one file.

    `written_ns` is when the file was changed last, `zone` that of times without one, `kind` the type to make: if None,
    it is guessed for each line; `text` takes JSON for text too.
    """

    def __init__(
        self, path: Path | None, *, written_ns: int, zone: tzinfo = UTC, kind: str | None = None, host: str = ""
    ) -> None:
        name = path.resolve() if path else Path("-")
        host = host or socket.gethostname()
        self.source = f"file://{host}{quote(str(name))}"[:512] if path else "stdin:" + host
        self._stem = re.sub(r"(\.(log|json|jsonl|txt|gz|\d+))+\Z", "", name.name) or "stdin"
        self._file = str(name) if path else ""
        self._zone = zone
        self._kind = kind
        self._written_ns = written_ns
        self._time_ns = written_ns
        self._last: Format | None = None

    def events(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The events of the lines, each with its line break."""
        for record in self._records(lines):
            yield self.event(record)

    def _records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        current: Record | None = None
        size = offset = 0
        for number, line in enumerate(lines, 1):
            raw = line.rstrip(b"\r\n")
            start, offset = offset, offset + len(line)
            if not raw.strip():
                continue
            if current is not None and raw[:1] != b"{" and current.raw[:1] != b"{" and len(current.more) < MOST_LINES:
                text = raw.decode("utf-8", "replace")
                if size + len(text) < MOST_CHARACTERS and CONTINUATION.match(text):
                    current.more.append(text)
                    size += len(text) + 1
                    continue
            if current is not None:
                yield current
            current, size = Record(raw, start, number), len(raw)
        if current is not None:
            yield current

    def event(self, record: Record) -> bytes:
        """The CloudEvent of a record, as JSON."""
        if record.raw[:1] == b"{" and self._kind != "text":
            try:
                value = orjson.loads(record.raw)
            except orjson.JSONDecodeError:
                value = None
            if isinstance(value, dict):
                return self._from_object(record, value)
        return self._from_text(record)

    def _from_object(self, record: Record, value: dict[str, Any]) -> bytes:
        if "specversion" in value:
            return record.raw
        if log_json.is_cloudtrail(value) and self._kind in (None, "cloud.audit.v1"):
            return _cloudtrail(record.raw, value, self._id(record))
        data, time_ns = log_json.data_of(value, record.raw.decode("utf-8", "replace"))
        return self._line(record, data, time_ns)

    def _from_text(self, record: Record) -> bytes:
        text = record.raw.decode("utf-8", "replace")
        data: dict[str, Any] = {"message": text}
        time_ns = None
        for format in FORMATS if self._last is None else (self._last, *FORMATS):
            match = format.pattern.match(text)
            if match is None:
                continue
            parts = match.groupdict()
            if (time_ns := time_of(parts, self._zone, self._written_ns)) is None:
                continue
            self._last = None if format.loose else format
            data = {name: value for name in _MEMBERS if (value := parts.get(name))}
            if "pid" in data:
                data["pid"] = int(data["pid"])
            if "host" in data and not _HOST.fullmatch(data["host"]):
                del data["host"]
            if format.service:
                data.setdefault("service", format.service)
            break
        if record.more:
            data["message"] = "\n".join((data.get("message", ""), *record.more))
        return self._line(record, data, time_ns)

    def _line(self, record: Record, data: dict[str, Any], time_ns: int | None) -> bytes:
        if time_ns is not None:
            self._time_ns = time_ns
        for name, most in _LIMITS.items():
            if name in data:
                data[name] = data[name].strip()[:most]
                if not data[name]:
                    del data[name]
        data["message"] = (data.get("message", "").strip() or record.raw.decode("utf-8", "replace"))[:MOST_CHARACTERS]
        data |= {"line": record.number, "offset": record.offset}
        if self._file:
            data["file"] = self._file[: _LIMITS["file"]]
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": self._id(record),
                "source": self.source,
                "type": "log.line.v1",
                "time": timestamps.text(self._time_ns),
                "subject": data.get("host") or data.get("service") or data.get("process") or self._stem[:255],
                "data": data,
            }
        )

    @staticmethod
    def _id(record: Record) -> str:
        # With the text: another file may take the same name, as rotated logs do.
        return f"{record.offset}-{crc32(record.raw):08x}"


def _cloudtrail(raw: bytes, record: dict[str, Any], id: str) -> bytes:
    """A CloudTrail record, its bytes as they are, under CloudTrail's own id."""
    envelope = {
        "specversion": "1.0",
        "id": str(record.get("eventID") or id)[:256],
        "source": f"urn:aws:cloudtrail:{record.get('recipientAccountId', '')}"[:512],
        "type": "cloud.audit.v1",
        "time": record["eventTime"],
        "subject": log_json.actor(record)[:512],
    }
    return orjson.dumps(envelope)[:-1] + b',"data":' + raw + b"}"
