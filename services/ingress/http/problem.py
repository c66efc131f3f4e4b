"""Headers of answers that are problem documents (RFC 9457)."""

from __future__ import annotations

import math

from penstock.errors import Unavailable

Headers = list[tuple[bytes, bytes]]
PROBLEM = (b"content-type", b"application/problem+json")


def retry_after(error: Unavailable) -> tuple[bytes, bytes]:
    """The Retry-After header, in whole seconds."""
    return b"retry-after", b"%d" % max(1, math.ceil(error.retry_after or 1))
