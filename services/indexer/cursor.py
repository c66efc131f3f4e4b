"""Where a page ended. Opaque to the asker, bound to its question; it can only move within the answers to it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import orjson

from penstock.errors import Refused
from penstock.questions import Question

_NOT_PART = {"cursor", "size"}


def write(question: Question, after: list[Any]) -> str:
    """The cursor to what comes after these sort values."""
    return urlsafe_b64encode(orjson.dumps([_fingerprint(question), *after])).decode().rstrip("=")


def read(question: Question, cursor: str, length: int) -> list[Any]:
    """The sort values in a cursor. Raises Refused QUERY_INVALID when it is not one of this question."""
    try:
        found: list[Any] = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fingerprint, *after = found
    except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError):
        fingerprint, after = "", []
    if fingerprint != _fingerprint(question) or len(after) != length or not all(map(_is_plain, after)):
        raise Refused("QUERY_INVALID", "the cursor does not belong to this question", pointer="/cursor")
    return after


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _fingerprint(question: Question) -> str:
    members = {name: value for name, value in question.wire().items() if name not in _NOT_PART}
    return sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
