"""One JSON object → event data: CloudTrail records as they are, and JSON logs of other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from penstock.cli.shipping.documents import text_of
from penstock.cli.shipping.labels import free, packed
from penstock.cli.shipping.log_levels import NODE, SYSLOG
from penstock.cli.shipping.terminal_colours import without_colours

# Member of log.line.v1 → names under which programs write it; the first one found wins, the others become labels.
_NAMES = {
    "message": ("message", "msg", "event", "log", "MESSAGE", "@m", "@mt", "short_message", "@message",
                "Message", "RenderedMessage", "textPayload", "jsonPayload.message", "fields.message", "body", "text"),
    "level": ("level", "log.level", "severity", "lvl", "levelname", "@l", "@level", "Level", "LogLevel",
              "severity_text", "loglevel", "log_level"),
    "logger": ("logger", "log.logger", "component", "logger_name", "name", "loggerName", "@module",
               "Category", "target"),
    "host": ("host", "hostname", "host.name", "elasticsearch.node.name", "node.name", "_HOSTNAME"),
    "service": ("service", "service.name", "app", "application", "_SYSTEMD_UNIT"),
    "process": ("process", "process.name", "program", "SYSLOG_IDENTIFIER", "_COMM"),
    "pid": ("pid", "process.pid", "_PID", "SYSLOG_PID"),
    "thread": ("thread", "process.thread.name", "thread_name"),
    "trace_id": ("trace_id", "trace.id", "traceId", "trace"),
    "span_id": ("span_id", "span.id", "spanId"),
}  # fmt: skip
_TIMES = ("@timestamp", "timestamp", "time", "ts", "datetime", "date", "asctime", "@t", "t.$date",
          "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "Timestamp", "Time", "timeMillis", "time_iso8601",
          "eventTime", "event_time", "_time", "timestamp_ms", "ts_ms", "epoch", "requestReceivedTimestamp")  # fmt: skip
# Times in two members: seconds and nanoseconds, or date and time of day.
_SECONDS = (("instant.epochSecond", "instant.nanoOfSecond"), ("timestamp.seconds", "timestamp.nanos"))
_EXCEPTION = {
    "type": ("error.type", "exception.type"),
    "message": ("error.message", "exception.message"),
    "stack": ("error.stack_trace", "exception.stacktrace"),
}
_HEX = {"trace_id": re.compile("[0-9a-f]{32}"), "span_id": re.compile("[0-9a-f]{16}")}
LONGEST = {
    "level": 32, "logger": 512, "host": 255, "service": 255, "process": 255, "thread": 255,
    "exception.type": 512, "exception.message": 16_384, "exception.stack": 65_536,
}  # fmt: skip
_PID = re.compile(r"\d{1,15}")
_DEEPEST = 4


def actor(record: dict[str, Any]) -> str:
    """The entity of a CloudTrail record: who acted."""
    identity = record.get("userIdentity")
    identity = identity if isinstance(identity, dict) else {}
    for name in ("arn", "principalId", "invokedBy"):
        if isinstance(identity.get(name), str) and identity[name]:
            return str(identity[name])
    return str(record["eventSource"])


def data_of(
    value: dict[str, Any], raw: str, time_of: Callable[[Any], int | None]
) -> tuple[dict[str, Any], int | None, int]:
    """The data of a log.line.v1 for a JSON log line, its time where it has one, and how many characters are lost.

    `time_of` reads times. Each member is in the data: in a member of its own, as a label, or, if the line has no
    message, in the message, which is the whole line then.
    """
    rest = dict(_flat(value))
    data: dict[str, Any] = {}
    for member, names in _NAMES.items():
        for name in names:
            found = _fitting(member, rest.get(name))
            if found is not None:
                data[member] = found
                del rest[name]
                break
    if "t.$date" in rest and isinstance(rest.get("s"), str):  # of MongoDB
        data.setdefault("level", rest.pop("s"))
    if "level" not in data and (severity := str(rest.get("PRIORITY", ""))) in ("0", "1", "2", "3", "4", "5", "6", "7"):
        data["level"] = SYSLOG[int(severity)]
    if "msg" in value and "pid" in value and (level := _of_node(value.get("level"))):
        data["level"] = level
    time_ns = _time(rest, time_of)
    if "message" not in data:
        return {**data, "message": raw}, time_ns, 0
    exception = {part: found for part, names in _EXCEPTION.items() if (found := _taken(rest, part, names))}
    if "type" in exception:
        data["exception"] = exception
    else:
        rest |= {f"error.{part}": found for part, found in exception.items()}
    labels, lost = packed(rest.items())
    if labels:
        data["labels"] = labels
    return data, time_ns, lost


def _of_node(level: Any) -> str | None:
    """A level of pino and bunyan, whose lines have `msg` and `pid`. Elsewhere 30 may mean a warning."""
    return NODE.get(level) if type(level) is int else None


def _time(rest: dict[str, Any], time_of: Callable[[Any], int | None]) -> int | None:
    """The time, whose members are taken out; None if there is none."""
    for name in _TIMES:
        if name in rest and (found := time_of(rest[name])) is not None:
            del rest[name]
            return found
    for seconds, nanos in _SECONDS:
        if isinstance(rest.get(seconds), int) and isinstance(rest.get(nanos), int):
            found = time_of(f"{rest[seconds]}.{rest[nanos]:09d}")
            if found is not None:
                del rest[seconds], rest[nanos]
                return found
    if isinstance(rest.get("date"), str) and isinstance(rest.get("time"), str):
        found = time_of(f"{rest['date']} {rest['time']}")
        if found is not None:
            del rest["date"], rest["time"]
            return found
    return None


def _taken(rest: dict[str, Any], part: str, names: tuple[str, ...]) -> str | None:
    for name in names:
        found = rest.get(name)
        if isinstance(found, str) and 0 < len(found) <= LONGEST[f"exception.{part}"]:
            return str(rest.pop(name))
    return None


def _fitting(member: str, value: Any) -> Any:
    """The value as the member takes it, or None: then it becomes a label."""
    if value in (None, "") or value == {} or value == []:
        return None
    if member == "pid":
        return int(value) if isinstance(value, int | str) and _PID.fullmatch(str(value)) else None
    text = _words(value)
    if pattern := _HEX.get(member):
        text = text.lower().replace("-", "")
        return text if pattern.fullmatch(text) and text.strip("0") else None
    if member in ("message", "level"):
        text = without_colours(text).strip() if member == "level" else without_colours(text)
    return text if text and len(text) <= LONGEST.get(member, len(text)) else None


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(byte, int) and 0 <= byte <= 255 for byte in value):
        return bytes(value).decode("utf-8", "backslashreplace")  # as systemd's journal writes text it cannot print
    return text_of(value)


def _flat(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Members with the names of those around them, none of them twice."""
    found: dict[str, Any] = {}

    def walk(members: dict[str, Any], prefix: str, depth: int) -> None:
        for name, member in members.items():
            if isinstance(member, dict) and member and depth < _DEEPEST:
                walk(member, f"{prefix}{name}.", depth + 1)
            else:
                found[free(prefix + name, found)] = member

    walk(value, "", 1)
    return iter(found.items())
