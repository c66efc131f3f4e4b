"""A line of text → the members and the time that its format says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penstock.cli.shipping.labels import packed
from penstock.cli.shipping.log_formats import FORMATS, HEAD, Format
from penstock.cli.shipping.log_levels import SYSLOG
from penstock.cli.shipping.log_times import Clock
from penstock.cli.shipping.untimed_formats import LIKELY, NPM_BEGINS, NPM_GOES_ON, UNTIMED

_MEMBERS = frozenset(("level", "logger", "host", "service", "process", "thread"))
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\]-]{0,254}")
_LONGEST_PID = 15
# By a line's first character, what it can be, each with what matches it.
_DIGIT, _BRACKET, _OTHER = (
    tuple((each.pattern.match, each) for each in FORMATS if each.begins in ("", first)) for first in ("0", "[", "a")
)


@dataclass(slots=True)
class Parsed:
    """What a line says: members of log.line.v1, and its time in Unix nanoseconds. Where `whole`, lines without a time
    go on with it."""

    data: dict[str, Any]
    time_ns: int | None = None
    whole: bool = False


class Formats:
    """Parses the lines of one file; the format of the line before is tried first."""

    def __init__(self) -> None:
        self._last: Format | None = None
        self._untimed: tuple[Format, ...] = UNTIMED

    def parse(self, text: str, clock: Clock) -> Parsed | None:
        """What a line says, or None if no format fits."""
        head = text[:HEAD]
        last = self._last
        match = last.pattern.match(head) if last is not None else None
        if last is not None and match is not None and (found := _parsed(last, match, text, clock)) is not None:
            return found
        first = head[:1]
        for matches, format in _DIGIT if first.isdecimal() else _BRACKET if first == "[" else _OTHER:
            if (match := matches(head)) is not None and (found := _parsed(format, match, text, clock)) is not None:
                self._last = None if format.loose else format
                return found
        return self._parsed_untimed(text, head)

    def _parsed_untimed(self, text: str, head: str) -> Parsed | None:
        """What a line without a time says."""
        if LIKELY.match(head) is None:
            return None
        for format in self._untimed:
            if match := format.pattern.match(head):
                if format is NPM_BEGINS:
                    self._untimed = (NPM_GOES_ON, *UNTIMED)
                return Parsed(_data(match.groupdict(), format, text, match.end()))
        return None


def _parsed(format: Format, match: re.Match[str], text: str, clock: Clock) -> Parsed | None:
    parts = match.groupdict()
    time_ns = clock.time_of(parts)
    if time_ns is None:
        return None
    return Parsed(_data(parts, format, text, match.end()), time_ns, format.whole)


def _data(parts: dict[str, str | None], format: Format, text: str, end: int) -> dict[str, Any]:
    """The members of a line whose beginning, up to `end`, is in parts."""
    data: dict[str, Any] = {"message": text[end:]}
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
    if parts.get("before") and end == len(text):
        data["message"] = text  # nothing but the time is said, so it is not taken out
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
