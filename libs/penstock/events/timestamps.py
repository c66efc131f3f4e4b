"""RFC 3339 timestamps and Unix nanoseconds, both ways, without losing a digit."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from penstock.errors import Refused

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))\Z", re.ASCII)
_DAY = 86_400
_EPOCH = datetime(1970, 1, 1)
_NS = 1_000_000_000
_UNITS = [10 ** (9 - decimals) for decimals in range(10)]  # nanoseconds, by the decimals that are given


def parse(text: str) -> int:
    """Unix nanoseconds (UTC) of an RFC 3339 timestamp.

    A leap second, which is the last one of a day in UTC, is the second behind it, as in Unix time. Raises Refused
    TIME_INVALID: no zone, more than nine decimals, or a day that does not exist.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise Refused("TIME_INVALID", f"{text[:64]!r} is not an RFC 3339 timestamp with a zone", pointer="/time")
    day_and_time, fraction, sign, hours, minutes = match.groups()
    try:
        seconds, leap = _seconds(day_and_time)
    except ValueError:
        raise Refused("TIME_INVALID", f"{text!r} is a day or time that does not exist", pointer="/time") from None
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            raise Refused("TIME_INVALID", f"{text!r}: the zone is out of range", pointer="/time")
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += -offset if sign == "+" else offset
    if leap and seconds % _DAY:
        raise Refused("TIME_INVALID", f"{text!r}: second 60 is no leap second there", pointer="/time")
    return seconds * _NS + (int(fraction) * _UNITS[len(fraction)] if fraction else 0)


def text(ns: int) -> str:
    """The shortest RFC 3339 timestamp in UTC for Unix nanoseconds, with 3, 6 or 9 decimals."""
    seconds, rest = divmod(ns, _NS)
    if rest % 1_000_000 == 0:
        return f"{_prefix(seconds)}.{rest // 1_000_000:03d}Z"
    if rest % 1000 == 0:
        return f"{_prefix(seconds)}.{rest // 1000:06d}Z"
    return f"{_prefix(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=4096)
def _seconds(day_and_time: str) -> tuple[int, bool]:
    """Unix seconds, and whether it is a leap second. Raises ValueError."""
    leap = day_and_time.endswith(":60")
    since = datetime.fromisoformat(f"{day_and_time[:-2]}59" if leap else day_and_time) - _EPOCH
    return since.days * _DAY + since.seconds + leap, leap


@lru_cache(maxsize=4096)
def _prefix(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
