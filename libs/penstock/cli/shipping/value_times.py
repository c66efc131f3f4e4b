"""The value of a member that holds a time → Unix nanoseconds."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from penstock.cli.shipping.log_formats import DAY_FIRST, ISO_ZONED
from penstock.cli.shipping.log_times import Clock
from penstock.errors import Refused
from penstock.events import timestamps

_WRITTEN = re.compile(ISO_ZONED), re.compile(DAY_FIRST)
_NUMBER = re.compile(r"\d{9,20}(?:\.\d{1,9})?")
_OTHERS = ("%d/%b/%Y:%H:%M:%S %z", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S.%f %Y")
_SHORTEST = len("20261128T1000")  # a date alone is no time
_EARLIEST = 10**8  # seconds since 1970; a smaller number is a duration or a count
_NS = 1_000_000_000


def time_of(value: Any, clock: Clock) -> int | None:
    """RFC 3339 and its relatives, RFC 5322, what access logs write, or seconds, ms, µs or ns since 1970; or None."""
    found = _number(value) if not isinstance(value, str) else _text(value.strip(), clock)
    return None if found is None or not 0 <= found < 1 << 63 else clock.passed(found)


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _EARLIEST <= value < 1e20:
        return None
    return _since_1970(Decimal(repr(value)))


def _since_1970(number: Decimal) -> int | None:
    for unit in (1, 1_000, 1_000_000, _NS):
        if number / unit < 10**11:  # beyond the year 5000 it is a finer unit
            return int(number * (_NS // unit))
    return None


def _text(text: str, clock: Clock) -> int | None:
    if len(text) < 9 or len(text) > 64:
        return None
    if _NUMBER.fullmatch(text):
        return _since_1970(Decimal(text))
    try:
        return timestamps.parse(text)
    except Refused:
        pass
    for pattern in _WRITTEN:
        if match := pattern.fullmatch(text):
            return clock.time_of(match.groupdict())
    if (moment := _moment(text)) is None:
        return None
    if moment.tzinfo is None:
        return clock.moment(moment.replace(microsecond=0)) * _NS + moment.microsecond * 1_000
    return round(moment.timestamp() * 1_000_000) * 1_000


def _moment(text: str) -> datetime | None:
    if len(text) < _SHORTEST:
        return None
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(text)
        except (ValueError, TypeError, IndexError):
            continue
    for form in _OTHERS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
