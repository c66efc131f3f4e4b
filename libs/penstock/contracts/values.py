"""Values as the contracts write them: dotted paths, periods and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any


def dig(value: Any, path: str) -> Any:
    """The member of nested objects that a dotted path names, or None."""
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def period_of(period: str, time_ms: int) -> str:
    """The name of the index period that Unix milliseconds fall in (UTC): 2026, 2026-11 or 2026-11-21."""
    text = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
    return text[: {"day": 10, "month": 7, "year": 4}[period]]


_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")


def duration(text: str) -> timedelta:
    """An ISO 8601 duration of years (365 days), days, hours, minutes and seconds."""
    match = _DURATION.match(text)
    if not match or not any(match.groups()):
        raise ValueError(f"{text!r} is not an ISO 8601 duration like P30D or PT1H")
    years, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + days, hours=hours, minutes=minutes, seconds=seconds)
