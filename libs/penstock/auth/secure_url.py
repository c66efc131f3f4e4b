"""Tells whether a URL is safe for a secret or a token: https, or http to this host."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def is_secure(url: str) -> bool:
    """Whether nobody can listen on the way: https, or http to this host."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
