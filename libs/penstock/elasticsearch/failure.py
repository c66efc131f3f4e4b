"""Why Elasticsearch did not do what it was asked, in words."""

from __future__ import annotations

from elasticsearch import ApiError, ConnectionError, ConnectionTimeout, TransportError


def reason_of(error: ApiError | TransportError) -> str:
    """Without the names that the client has for it."""
    match error:
        case ApiError():
            return f"status {error.meta.status}: {error.message}"
        case ConnectionTimeout():
            return "no answer in time"
        case ConnectionError():
            return "it cannot be reached"
        case _:
            return "the connection failed"
