"""Writes and reads cursors: where a page ended. Opaque to the caller, and valid only with the request it came from."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal

import orjson

from penstock.errors import Refused
from penstock.events import is_key
from penstock.rpc.messages import Request

# time in Unix milliseconds; place in a list; natural: a number of 63 bits
Kind = Literal["key", "time", "score", "place", "natural"]
_NOT_PART = {"cursor", "size"}
_MOST = 1 << 53
_LONG = 1 << 63


def write(request: Request, after: list[Any]) -> str:
    """The cursor to what comes after these sort values."""
    return urlsafe_b64encode(orjson.dumps([_fingerprint(request), *after])).decode().rstrip("=")


def read(request: Request, cursor: str, *choices: Sequence[Kind]) -> list[Any]:
    """The sort values in a cursor, of the kinds of one of the choices. Raises Refused QUERY_INVALID when it is not one
    of this request."""
    try:
        found: list[Any] = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fingerprint, *after = found
    except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError):
        fingerprint, after = "", []
    fits = any(len(after) == len(kinds) and all(map(_is, after, kinds)) for kinds in choices)
    if fingerprint != _fingerprint(request) or not fits:
        raise Refused("QUERY_INVALID", "the cursor does not belong to this request", pointer="/cursor")
    return after


def _is(value: Any, kind: Kind) -> bool:
    # Cursors are not signed, so what stands in one may be anything; Elasticsearch must get what it can sort by.
    match kind:
        case "key":
            return isinstance(value, str) and is_key(value)
        case "place":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
        case "time":
            return isinstance(value, int) and not isinstance(value, bool) and -_MOST < value < _MOST
        case "natural":
            return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LONG
        case "score":
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def _fingerprint(request: Request) -> str:
    members = {name: value for name, value in request.to_json().items() if name not in _NOT_PART}
    return sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
