"""Why Elasticsearch did not do what it was asked, in words."""

from __future__ import annotations

from typing import Any

from elasticsearch import ApiError, ConnectionError, ConnectionTimeout, TransportError

LONGEST = 500  # characters of what the server says


def reason_of(error: ApiError | TransportError) -> str:
    """Without the names that the client has for it."""
    match error:
        case ApiError():
            return f"status {error.meta.status}: {_said(error)}"
        case ConnectionTimeout():
            return "no answer in time"
        case ConnectionError():
            return "it cannot be reached"
        case _:
            return "the connection failed"


def described(error: ApiError) -> dict[str, Any]:
    """What the server says of it: `type`, `reason`, perhaps `root_cause`; empty where it says nothing of that form."""
    found = error.body.get("error") if isinstance(error.body, dict) else None
    return found if isinstance(found, dict) else {}


def _said(error: ApiError) -> str:
    """The server's own sentence, where it gives one: it names the limit that was reached, or the member."""
    return str(described(error).get("reason") or error.message)[:LONGEST]
