"""JSON over several lines, and JSON that holds many records → the records.

[{…}, {…}]   {"Records": […]}   {"logEvents": […]}   {"hits": {"hits": […]}}   {…}{…}   and all of these over many lines
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from penstock.errors import Refused
from penstock.events import ijson

MOST_BYTES = 256 * 1024 * 1024  # of one document over many lines
_WHITE = b" \t\r\n"
# Members under which providers put many records. What stands beside them belongs to each record.
_BATCHES = ("Records", "records", "logEvents", "Events")
# The same, where the object does not look like a record, and all that the member holds does.
_LISTS = ("events", "entries", "items", "logs", "value", "data", "results", "messages", "hits")
_OF_RECORDS = {
    "specversion", "message", "msg", "MESSAGE", "log", "event", "eventName", "textPayload", "jsonPayload", "_source",
    "@timestamp", "timestamp", "time", "ts", "date", "eventTime", "Timestamp", "requestReceivedTimestamp",
}  # fmt: skip
# `aws cloudtrail lookup-events` and CloudWatch give the record as a string.
_QUOTED_RECORDS = ("CloudTrailEvent", "message")
_CLOUDTRAIL = ("eventSource", "eventName", "eventTime")
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{}]|"', re.DOTALL)
_BEGINS = re.compile(rb'(?:\{\s*"[A-Za-z]+"\s*:\s*)?\[\s*')


def value_of(raw: bytes) -> Any:
    """The value of a JSON text, with all its digits and, under other names, members given twice.

    Raises ValueError.
    """
    value = orjson.loads(raw)
    if _LONG_NUMBER.search(raw) is None:
        try:
            ijson.check_structure(raw, value)
            return value
        except Refused:
            pass
    return json.loads(raw, object_pairs_hook=_members)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        free, number = name, 2
        while free in found:
            free, number = f"{name}.{number}", number + 1
        found[free] = value
    return found


def text_of(value: Any) -> str:
    """The JSON text of a value, whatever the size of its numbers."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def elements(value: Any) -> list[Any] | None:
    """The records in a value that holds many; None if it is one record itself."""
    if isinstance(value, list):
        return value if not value or any(isinstance(each, dict | str) for each in value) else None
    if not isinstance(value, dict):
        return None
    if "specversion" in value:
        return None
    if "detail-type" in value and is_cloudtrail(value.get("detail")):  # as EventBridge delivers it
        return [value["detail"]]
    if isinstance(hits := value.get("hits"), dict) and isinstance(hits.get("hits"), list):
        value = {**value, "hits": hits["hits"]}
    is_record = not _OF_RECORDS.isdisjoint(value)
    for name in _BATCHES if is_record else (*_BATCHES, *_LISTS):
        found = value.get(name)
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            if name in _LISTS and (not found or any(_OF_RECORDS.isdisjoint(each) for each in found)):
                continue
            beside = {key: member for key, member in value.items() if key != name}
            return [_element(each, beside) for each in found]
    return None


def is_cloudtrail(value: Any) -> bool:
    """Whether a value is a record of AWS CloudTrail."""
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in _CLOUDTRAIL)


def _element(record: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    for name in _QUOTED_RECORDS:
        quoted = record.get(name)
        if isinstance(quoted, str) and quoted[:1] == "{":
            try:
                found = value_of(quoted.encode())
            except ValueError:
                continue
            if is_cloudtrail(found):
                return dict(found)
    if "specversion" in record:
        return record
    if isinstance(source := record.get("_source"), dict):  # of Elasticsearch
        return {**beside, **{name: member for name, member in record.items() if name != "_source"}, **source}
    return {**beside, **record}


def sequence(raw: bytes) -> list[Any] | None:
    """The objects that stand one behind the other on a line; None if it holds anything else."""
    values, rest = _read_on(raw.decode("utf-8", "surrogateescape"), 0, "")
    return values if len(values) > 1 and not rest else None


def salvage(raw: bytes) -> tuple[list[Any], bytes]:
    """The whole records of a document that ends early or is damaged, and the rest of its text."""
    start = _BEGINS.match(raw)
    if start is None:
        return [], raw
    text = raw.decode("utf-8", "surrogateescape")
    values, rest = _read_on(text, len(raw[: start.end()].decode("utf-8", "surrogateescape")), ",")
    return values, rest.encode("utf-8", "surrogateescape")


def _read_on(text: str, at: int, between: str) -> tuple[list[Any], str]:
    decoder = json.JSONDecoder(object_pairs_hook=_members)
    values: list[Any] = []
    skip = re.compile(rf"[\s{between}]*")
    while at < len(text):
        at = skip.match(text, at).end()  # type: ignore[union-attr]  # it matches the empty text
        if text[at : at + 1] != "{":
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        values.append(value)
    return values, text[skip.match(text, at).end() :]  # type: ignore[union-attr]


class Document:
    """Collects the lines of a document until its last bracket is closed."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._size = 0
        self._open = 0

    @staticmethod
    def begins(raw: bytes) -> bool:
        """Whether a line is the first of a document over many: a bracket first, and something to follow last."""
        return raw[:1] in (b"{", b"[") and raw.rstrip(_WHITE)[-1:] in (b"{", b"[", b",")

    def add(self, raw: bytes) -> bool:
        """Takes a line; returns whether the document is complete."""
        self.lines.append(raw)
        self._size += len(raw)
        for token in _tokens(raw):
            self._open += 1 if token in b"{[" else -1
        return self._open <= 0

    @property
    def full(self) -> bool:
        """It is too large to be collected."""
        return self._size > MOST_BYTES

    @property
    def raw(self) -> bytes:
        """Its text."""
        return b"\n".join(self.lines)


def _tokens(raw: bytes) -> Iterator[bytes]:
    return (token for token in _BRACKETS.findall(raw) if len(token) == 1 and token != b'"')
