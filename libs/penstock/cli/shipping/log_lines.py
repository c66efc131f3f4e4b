"""lines of a file → records → CloudEvents.

The same file gives the same events again, also when it has grown or was rotated: source and id come from the file's
path without what rotation adds, the record's place in it and its text, the time from the line. A record without a time
has that of the record before it; before the first one, that of the file's last change when it was first sent.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.cli.shipping import documents, first_sent, log_json, logfmt, value_times
from penstock.cli.shipping.event_texts import cloudevent, cloudtrail, log_line
from penstock.cli.shipping.log_times import Clock
from penstock.cli.shipping.records import Record, Records
from penstock.cli.shipping.years import Years

_ROTATED = re.compile(r"(?:[.-]\d{8}(?:[-T]?\d{2,6})?|[.-]\d{4}-\d\d-\d\d|\.(?:\d{1,3}|old|gz|bz2|xz|zst|lz4))+\Z")
_ENDING = re.compile(r"(?:\.(?:log|json|jsonl|ndjson|txt))+\Z")


class LogFile:
    """Makes events of the lines of one file.

    `written_ns` is when the file was changed last, `zone` that of times without one, `kind` the type to make: if None,
    it is guessed for each line; `text` takes JSON for text too. `years` is called for a file whose lines say no year.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        written_ns: int,
        zone: tzinfo = UTC,
        kind: str | None = None,
        host: str = "",
        years: Callable[[], Years] | None = None,
        damaged: Callable[[str], None] = lambda _: None,
    ) -> None:
        name = path.resolve() if path else Path("-")
        host = host or socket.gethostname()
        steady = name.with_name(unrotated(name.name)) if path else name
        self.source = _short(f"file://{host}{quote(str(steady))}") if path else "stdin:" + host
        self.clock = Clock(zone, written_ns, years)
        self.cut = 0  # events of which a part is missing
        self._stem = (_ENDING.sub("", steady.name)[:255] if path else "") or "stdin"
        self._file = str(name) if path else ""
        self._kind = kind
        self._written_ns = written_ns
        self._time_ns: int | None = None
        self._head = b""
        self._records = Records(self.clock, damaged, as_text=kind == "text")

    def events(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The events of the lines, each with its line break."""
        for record in self._records.of(self._with_head(lines)):
            yield self._event(record)

    def _with_head(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The same lines, the first ones of a file read beforehand: they say which file it is."""
        if not self._file:
            yield from lines
            return
        source, first = iter(lines), []
        while len(self._head) < first_sent.HEAD and (line := next(source, b"")):
            first.append(line)
            self._head += line
        yield from first
        yield from source

    def _event(self, record: Record) -> bytes:
        """The CloudEvent of a record, as JSON."""
        value, line = record.value, record.line
        if isinstance(value, dict):
            if "specversion" in value:
                return cloudevent(line.raw, value, self._time(value.get("time")))
            if documents.is_cloudtrail(value) and self._kind in (None, "cloud.audit.v1"):
                return cloudtrail(line.raw, value, record.id, self._time(value["eventTime"]))
            return self._of_members(record, value)
        if (members := logfmt.members(record.text)) is not None and not record.more and self._kind != "text":
            return self._of_members(record, members)
        data = record.parsed.data if record.parsed else {"message": record.text}
        if record.more:
            data["message"] = "\n".join((data.get("message", ""), *record.more))
        return self._line(record, data, record.parsed.time_ns if record.parsed else None)

    def _of_members(self, record: Record, members: dict[str, Any]) -> bytes:
        raw = record.line.raw.decode("utf-8", "backslashreplace")
        data, time_ns, lost = log_json.data_of(members, raw, lambda value: value_times.time_of(value, self.clock))
        return self._line(record, data, time_ns, lost)

    def _line(self, record: Record, data: dict[str, Any], time_ns: int | None, lost: int = 0) -> bytes:
        line = record.line
        if line.labels:
            data["labels"] = {**line.labels, **data.get("labels", {})}
        data["message"] = data.get("message", "").strip() or record.text or line.raw.decode("utf-8", "backslashreplace")
        data["line"], data["offset"] = line.number, line.offset
        if self._file:
            data["file"] = self._file
        own = self._own_time(time_ns if time_ns is not None else line.time_ns)
        event, cut = log_line(data, id=record.id, source=self.source, time_ns=own, stem=self._stem, lost=lost)
        self.cut += cut
        return event

    def _time(self, text: Any) -> int:
        """The time of an event that has one of its own, else what it is given."""
        return self._own_time(value_times.time_of(text, self.clock) if text is not None else None)

    def _own_time(self, time_ns: int | None) -> int:
        if time_ns is not None:
            self._time_ns = time_ns
        elif self._time_ns is None:
            known = self._file and first_sent.time_of(self.source, self._head, self._written_ns)
            self._time_ns = known or self._written_ns
        return self._time_ns


def _short(source: str) -> str:
    """At most 512 characters, and still another one for each file."""
    return source if len(source) <= 512 else f"{source[:440]}…{sha256(source.encode()).hexdigest()[:32]}"


def unrotated(name: str) -> str:
    """The name of a file without what rotating and packing it adds."""
    return _ROTATED.sub("", name) or name
