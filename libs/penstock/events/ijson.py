"""One I-JSON value (RFC 7493) from bytes: what every JSON reader and every store understands alike.

orjson refuses invalid UTF-8, unpaired surrogates, NaN and infinities by itself. It keeps the last of duplicate
members, takes numbers of any length and 1024 levels of nesting; those three are looked for in the text that
remains when the strings are taken out, at C speed.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from penstock.contracts.wording import pointer
from penstock.errors import Refused

MAX_DEPTH = 32
MAX_NUMBER = 64  # characters; Elasticsearch's parser stops at 1000, double precision needs 24
_LONG_NUMBER = re.compile(rb"[0-9.eE+-]{%d}" % (MAX_NUMBER + 1))
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_CR, _LF, _BACKSLASH = b"\r\n\\"  # a byte is found in a tenth of the time that a text of one byte takes


def one_line(raw: bytes) -> bytes:
    """`raw` JSON with line breaks turned into spaces; in valid JSON they can only be white space."""
    return raw.translate(_LINE_BREAKS) if _LF in raw or _CR in raw else raw


def parse(raw: bytes) -> Any:
    """The value of one I-JSON text.

    Raises Refused: JSON_INVALID, NUMBER_UNFIT, NESTED_TOO_DEEP or MEMBER_DUPLICATE (with a pointer).
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _refusal(error) from None
    check_structure(raw, value)
    return value


def check_structure(raw: bytes, value: Any) -> None:
    """Refuses what orjson lets pass; `value` is what it read from `raw`."""
    structure = _structure(raw)
    if len(structure) > MAX_NUMBER and _LONG_NUMBER.search(structure):
        raise Refused("NUMBER_UNFIT", f"a number is written with more than {MAX_NUMBER} characters")
    if structure.count(b"{") + structure.count(b"[") > MAX_DEPTH and _depth(structure) > MAX_DEPTH:
        raise Refused("NESTED_TOO_DEEP", f"more than {MAX_DEPTH} levels of objects and arrays")
    if structure.count(b":") != _members(value):
        pointer = _first_duplicate(raw)
        raise Refused("MEMBER_DUPLICATE", "an object has the same member twice", pointer=pointer)


def _structure(raw: bytes) -> bytes:
    """The text without its strings: with escaped quotes gone, every second piece between quotes is a string."""
    if _BACKSLASH in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2])


def _members(value: Any) -> int:
    """How many members all objects in `value` have. orjson gives exact dicts and lists, so classes are compared."""
    count = 0
    if value.__class__ is dict:
        count = len(value)
        value = value.values()
    elif value.__class__ is not list:
        return 0
    for inner in value:
        if inner.__class__ is dict or inner.__class__ is list:
            count += _members(inner)
    return count


def _depth(structure: bytes) -> int:
    depth = deepest = 0
    for byte in structure:
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _first_duplicate(raw: bytes) -> str:
    """The pointer's last part for the first member given twice; the slow reader, only once we know there is one."""
    found: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for name, value in pairs:
            if name in seen:
                found.append(name)
            seen[name] = value
        return seen

    json.loads(raw, object_pairs_hook=members)
    return pointer([found[0]]) if found else ""


def _refusal(error: orjson.JSONDecodeError) -> Refused:
    if "infinity" in error.msg:
        return Refused("NUMBER_UNFIT", f"{_at(error)}, a number is beyond double precision")
    if "depth" in error.msg:
        return Refused("NESTED_TOO_DEEP", f"more than {MAX_DEPTH} levels of objects and arrays")
    return Refused("JSON_INVALID", fault(error))


def fault(error: ValueError) -> str:
    """Where a text is not JSON, and why; for the errors of orjson, of json and of decoding."""
    if isinstance(error, UnicodeDecodeError):
        return f"the text is not UTF-8 at byte {error.start}"
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    if not error.doc.strip():
        return "the text is empty"
    if "UTF-8" in error.msg:
        return "the text is not UTF-8"
    return f"{_at(error)}: {error.msg[:1].lower()}{error.msg[1:]}"


def _at(error: json.JSONDecodeError) -> str:
    return f"at line {error.lineno}, column {error.colno}"
