"""`Prefer: wait=N` → seconds."""

from __future__ import annotations

import re

LONGEST = 30  # seconds

_PREFERENCE = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def preferred_wait(prefer: bytes | None) -> int:
    """Seconds that the caller wants to wait (RFC 7240 section 4.3), at most LONGEST; 0 for no such preference."""
    found = _PREFERENCE.search(prefer.decode("latin-1")) if prefer else None
    return min(int(found[1]), LONGEST) if found else 0
