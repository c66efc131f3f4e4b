"""A line of text → the members and the time that its format says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penstock.cli.shipping.labels import packed
from penstock.cli.shipping.log_formats import FORMATS, HEAD, Format
from penstock.cli.shipping.log_levels import SYSLOG
from penstock.cli.shipping.log_times import Clock

_TIME = {
    "year", "year2", "month", "mon", "day", "hour", "minute", "second", "fraction", "millis", "offset", "abbreviation"
}  # fmt: skip
_MEMBERS = ("level", "logger", "host", "service", "process", "thread")
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\]-]{0,254}")
_LONGEST_PID = 15


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a line says: members of log.line.v1, and its time in Unix nanoseconds."""

    data: dict[str, Any]
    time_ns: int


class Formats:
    """Parses the lines of one file; the format of the line before is tried first."""

    def __init__(self) -> None:
        self._last: Format | None = None

    def parse(self, text: str, clock: Clock) -> Parsed | None:
        """What a line says, or None if no format fits."""
        head = text[:HEAD]
        for format in FORMATS if self._last is None else (self._last, *FORMATS):
            match = format.pattern.match(head)
            if match is None:
                continue
            parts = match.groupdict()
            time_ns = clock.time_of(parts)
            if time_ns is None:
                continue
            self._last = None if format.loose else format
            return Parsed(_data(parts, format, text[match.end() :]), time_ns)
        return None


def _data(parts: dict[str, str | None], format: Format, rest: str) -> dict[str, Any]:
    found = {name: value.strip() for name, value in parts.items() if value and name not in _TIME}
    before = found.pop("before", "")
    data: dict[str, Any] = {"message": f"{before} {rest}" if before else rest}
    if (priority := found.pop("priority", None)) is not None:
        data["level"] = SYSLOG[int(priority) & 7]
    if (procid := found.get("procid", "")).isdigit() and "pid" not in found:
        found["pid"] = found.pop("procid", procid)
    for name in _MEMBERS:
        if found.get(name) and (name != "host" or _HOST.fullmatch(found[name])):
            data[name] = found.pop(name)
    if len(found.get("pid", "")) <= _LONGEST_PID and "pid" in found:
        data["pid"] = int(found.pop("pid"))
    if format.service:
        data.setdefault("service", format.service)
    labels, _ = packed((name, value) for name, value in found.items() if value != "-")
    if labels:
        data["labels"] = labels
    return data
