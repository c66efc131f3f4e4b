"""The time groups of a matched line (log_formats.py) → Unix nanoseconds."""

from __future__ import annotations

from calendar import month_abbr
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

_MONTHS = {name: n for n, name in enumerate(month_abbr) if name}
_NS = 1_000_000_000


def time_of(part: dict[str, str | None], zone: tzinfo, written_ns: int) -> int | None:
    """The line's time, or None where it has none that exists.

    `zone` is that of lines which do not say theirs. A line without a year is from the last year in which it is not
    later than `written_ns` (plus a day), when its file was written last.
    """
    month = int(part.get("month") or _MONTHS.get(part.get("mon") or "", 0))
    day, hour, minute, second = (int(part.get(name) or 0) for name in ("day", "hour", "minute", "second"))
    if offset := part.get("offset"):
        zone = _zone(offset)
    year = int(part.get("year") or 0)
    if not year and (short := part.get("year2")):
        year = 2000 + int(short)
    try:
        if not year:
            year = datetime.fromtimestamp(written_ns // _NS, zone).year
            if _seconds(year, month, day, hour, minute, second, zone) > written_ns // _NS + 86_400:
                year -= 1
        seconds = _seconds(year, month, day, hour, minute, second, zone)
    except ValueError:
        return None
    if millis := part.get("millis"):
        return seconds * _NS + int(millis) * 1_000_000
    return seconds * _NS + int((part.get("fraction") or "").ljust(9, "0"))


@lru_cache(maxsize=4096)
def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: tzinfo) -> int:
    return int(datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone).timestamp())


@lru_cache(maxsize=64)
def _zone(offset: str) -> tzinfo:
    if offset == "Z":
        return UTC
    digits = offset[1:].replace(":", "")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if offset[0] == "-" else span)
