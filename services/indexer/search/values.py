"""value of a condition + kind of the field → the value that Elasticsearch compares with.

Whatever Elasticsearch would refuse is refused here, with a sentence about the request; so no request that is valid
here fails there, and nothing that Elasticsearch would calculate with (dates like `now-1d`) reaches it.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from math import isfinite
from typing import Any

from penstock.contracts import FieldKind
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.rpc.messages import Filter

SHORTEST_PREFIX = 2  # characters; one alone stands for half of an index
LONGEST_PREFIX = 256
_LONG = 1 << 63
LONGEST_NUMBER = 64  # characters
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_BOOLEANS: dict[str | bool, bool] = {True: True, False: False, "true": True, "false": False}
_ORDERS = {"gte", "lte", "gt", "lt"}
_UNORDERED = {"boolean": "a boolean", "geo_point": "a place", "text": "full text"}


def fit(value: Any, asked: Filter, kind: FieldKind) -> Any:
    """The value for the index. Raises Refused QUERY_INVALID when the field cannot be compared with it so."""
    if kind in _UNORDERED and asked.op in _ORDERS:
        raise Refused("QUERY_INVALID", f"{asked.field} has no order: it is {_UNORDERED[kind]}")
    if kind == "geo_point":
        raise Refused("QUERY_INVALID", f"{asked.field} is a place; only `exists` can be asked of it")
    if asked.op == "prefix":
        return _beginning(value, asked, kind)
    found: Any
    match kind:
        case "long" | "double":
            found = _number(value, kind)
        case "boolean":
            found = _BOOLEANS.get(value) if isinstance(value, str | bool) else None
        case "date":
            found = _moment(value)
        case "ip":
            found = _address(value, asked)
        case _:
            found = value if isinstance(value, str) else None
    if found is None:
        raise Refused("QUERY_INVALID", f"{asked.field} is a {kind}; {_short(value)} cannot be compared with it")
    return found


def _beginning(value: Any, asked: Filter, kind: FieldKind) -> str:
    if kind not in ("keyword", "text"):
        raise Refused("QUERY_INVALID", f"{asked.field} has no beginning to compare: it is a {kind}")
    if not isinstance(value, str) or not SHORTEST_PREFIX <= len(value) <= LONGEST_PREFIX:
        raise Refused("QUERY_INVALID", f"a prefix has {SHORTEST_PREFIX} to {LONGEST_PREFIX} characters")
    return value


def _number(value: Any, kind: FieldKind) -> int | float | None:
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER:  # as a shell or a form gives it
        if _INTEGER.fullmatch(value):
            value = int(value)
        elif _DECIMAL.fullmatch(value):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if kind == "double" or -_LONG <= value < _LONG else None


def _moment(value: Any) -> str | None:
    try:
        ms = timestamps.parse(value) // 1_000_000 if isinstance(value, str) else -1
        return timestamps.text(ms * 1_000_000) if ms >= 0 else None
    except (Refused, ValueError, OverflowError):  # a zone may lead beyond the year 9999
        return None


def _address(value: Any, asked: Filter) -> str | None:
    if not isinstance(value, str) or "%" in value:
        return None
    try:
        if "/" in value and asked.op not in _ORDERS:
            return str(ip_network(value, strict=False))
        return str(ip_address(value))
    except ValueError:
        return None


def _short(value: Any) -> str:
    return repr(value)[:100]
