"""Why an HTTP request failed, in words."""

from __future__ import annotations

import httpx


def reason_of(error: Exception) -> str:
    """For errors of httpx and of files; many of the former have no text of their own."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "the connection was lost"
