"""A line of text → the members and the time that its format says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penstock.cli.shipping.labels import packed
from penstock.cli.shipping.log_formats import FORMATS, HEAD, Format
from penstock.cli.shipping.log_levels import SYSLOG
from penstock.cli.shipping.log_times import Clock

_MEMBERS = frozenset(("level", "logger", "host", "service", "process", "thread"))
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\]-]{0,254}")
_LONGEST_PID = 15


@dataclass(slots=True)
class Parsed:
    """What a line says: members of log.line.v1, and its time in Unix nanoseconds."""

    data: dict[str, Any]
    time_ns: int


class Formats:
    """Parses the lines of one file; the format of the line before is tried first."""

    def __init__(self) -> None:
        self._order: tuple[Format, ...] = FORMATS

    def parse(self, text: str, clock: Clock) -> Parsed | None:
        """What a line says, or None if no format fits."""
        head = text[:HEAD]
        for format in self._order:
            match = format.pattern.match(head)
            if match is None:
                continue
            parts = match.groupdict()
            time_ns = clock.time_of(parts)
            if time_ns is None:
                continue
            if format is not self._order[0]:
                self._order = FORMATS if format.loose else (format, *FORMATS)
            data = _data(parts, format, text[match.end() :])
            if parts.get("before") and match.end() == len(text):
                data["message"] = text  # nothing but the time is said, so it is not taken out
            return Parsed(data, time_ns)
        return None


def _data(parts: dict[str, str | None], format: Format, rest: str) -> dict[str, Any]:
    data: dict[str, Any] = {"message": rest}
    others: dict[str, str] = {}
    for name in format.names:
        if value := parts[name]:
            value = value.strip()
            if name in _MEMBERS and value and (name != "host" or _HOST.fullmatch(value)):
                data[name] = value
            else:
                others[name] = value
    if format.service:
        data.setdefault("service", format.service)
    if others:
        _add_others(data, others)
    return data


def _add_others(data: dict[str, Any], others: dict[str, str]) -> None:
    """What is no member as it stands."""
    if before := others.pop("before", ""):
        data["message"] = f"{before} {data['message']}"
    if (priority := others.pop("priority", None)) is not None:
        data["level"] = SYSLOG[int(priority) & 7]
    if others.get("procid", "").isdigit() and "pid" not in others:
        others["pid"] = others.pop("procid")
    if "pid" in others and len(others["pid"]) <= _LONGEST_PID:
        data["pid"] = int(others.pop("pid"))
    labels, _ = packed((name, value) for name, value in others.items() if value != "-")
    if labels:
        data["labels"] = labels
