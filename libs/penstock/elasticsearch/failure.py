"""Why Elasticsearch did not do what it was asked, in words."""

from __future__ import annotations

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


def _said(error: ApiError) -> str:
    """The server's own sentence, where it gives one: it names the limit that was reached, or the member."""
    found = error.body.get("error") if isinstance(error.body, dict) else None
    reason = found.get("reason") if isinstance(found, dict) else None
    return str(reason or error.message)[:LONGEST]
