"""One JSON object a line → event: CloudEvents as they are, CloudTrail records, and JSON logs of other programs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from penstock.errors import Refused
from penstock.events import timestamps

# Member of log.line.v1 → names under which programs write it, the first one found wins.
_NAMES = {
    "message": ("message", "msg", "event", "log"),
    "level": ("level", "log.level", "severity", "lvl", "levelname"),
    "logger": ("logger", "log.logger", "component", "logger_name", "name"),
    "host": ("host", "hostname", "host.name", "elasticsearch.node.name", "node.name"),
    "service": ("service", "service.name", "app", "application"),
    "process": ("process", "process.name", "program"),
    "pid": ("pid", "process.pid"),
    "thread": ("thread", "process.thread.name", "thread_name"),
    "trace_id": ("trace_id", "trace.id"),
    "span_id": ("span_id", "span.id"),
}
_TIMES = ("@timestamp", "timestamp", "time", "ts", "datetime", "date")
_KNOWN = {name for names in _NAMES.values() for name in names} | set(_TIMES)
_HEX = {"trace_id": re.compile("[0-9a-f]{32}"), "span_id": re.compile("[0-9a-f]{16}")}
_LABEL = re.compile("[A-Za-z0-9_@$/][A-Za-z0-9_@$/ .:=+-]{0,127}")
MOST_LABELS = 48


def is_cloudtrail(value: dict[str, Any]) -> bool:
    """Whether the object is a record of AWS CloudTrail."""
    return all(isinstance(value.get(name), str) for name in ("eventSource", "eventName", "eventTime"))


def actor(record: dict[str, Any]) -> str:
    """The entity of a CloudTrail record: who acted."""
    identity = record.get("userIdentity")
    identity = identity if isinstance(identity, dict) else {}
    for name in ("arn", "principalId", "invokedBy"):
        if isinstance(identity.get(name), str) and identity[name]:
            return str(identity[name])
    return str(record["eventSource"])


def data_of(value: dict[str, Any], raw: str) -> tuple[dict[str, Any], int | None]:
    """The data of a log.line.v1 for a JSON log line, and its time in Unix nanoseconds where it has one."""
    flat = _flat(value)
    data: dict[str, Any] = {}
    for member, names in _NAMES.items():
        found = next((flat[name] for name in names if flat.get(name) not in (None, "")), None)
        if found is None:
            continue
        if member == "pid":
            if isinstance(found, int | str) and str(found).isdigit():
                data[member] = int(found)
        elif member not in _HEX or _HEX[member].fullmatch(str(found)):
            data[member] = str(found)
    data.setdefault("message", raw)
    kind = flat.get("error.type") or flat.get("exception.type")
    if isinstance(kind, str) and kind:
        texts = {"message": "error.message", "stack": "error.stack_trace"}
        data["exception"] = {"type": kind, **{k: str(flat[name]) for k, name in texts.items() if flat.get(name)}}
    labels = {n: _text(v) for n, v in flat.items() if n not in _KNOWN and v is not None and _LABEL.fullmatch(n)}
    if labels and data["message"] is not raw:
        data["labels"] = dict(list(labels.items())[:MOST_LABELS])
    return data, next((ns for name in _TIMES if (ns := _time(flat.get(name))) is not None), None)


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, dict) and prefix.count(".") < 3:
            flat.update(_flat(member, f"{prefix}{name}."))
        else:
            flat[prefix + name] = member
    return flat


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)[:1024]


def _time(value: Any) -> int | None:
    """RFC 3339 and its relatives (comma, no colon in the zone), or a number of seconds, ms, µs or ns since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        for unit in (1, 1_000, 1_000_000, 1_000_000_000):
            if value / unit < 1e11:  # beyond the year 5000 it is a finer unit
                return round(value / unit * 1_000_000) * 1_000 if isinstance(value, float) else value * (10**9 // unit)
    if not isinstance(value, str):
        return None
    try:
        return timestamps.parse(value)
    except Refused:
        pass
    try:
        moment = datetime.fromisoformat(value.replace(",", "."))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000_000) * 1_000
