"""The time groups of a matched line (log_formats.py) → Unix nanoseconds."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache

from penstock.cli.shipping import zones
from penstock.cli.shipping.years import MONTHS, Years

_NS = 1_000_000_000
_JITTER_NS = 60 * _NS  # lines may be this much out of order before it means that the clock was put back
_NO_YEAR = 4  # a leap year


class Clock:
    """Reads the times of the lines of one file, from its first line to its last.

    `zone` is that of times which do not say theirs. `years` is called once, at the first time without a year; without
    it, such a time is from the last year in which it is not later than `written_ns` (plus a day), when the file was
    written last.
    """

    def __init__(self, zone: tzinfo, written_ns: int, years: Callable[[], Years] | None = None) -> None:
        self.zone = zone
        self.used_zone = False  # whether a time did not say its own
        self._written = written_ns // _NS
        self._read_years = years
        self._years: Years | None = None
        self._last_ns = 0
        self._second_hour = False

    def time_of(self, part: Mapping[str, str | None]) -> int | None:
        """The line's time, or None where it has none that exists."""
        said = part.get
        if epoch := said("epoch"):
            seconds, _, decimals = epoch.partition(".")
            return self.passed(int(seconds) * _NS + int(decimals.ljust(9, "0")))
        second = said("second")
        try:
            local = _local(
                said("year"), said("year2"), said("month"), said("mon"), said("day"),
                said("hour"), said("minute"), second, said("half"),
            )  # fmt: skip
            dated = local.year != _NO_YEAR
            if not dated:
                local = local.replace(year=self._year(local.month, local.day))
            found = self.moment(local, said("offset"), said("abbreviation"))
            if not dated and self._years is None and found > self._written + 86_400:
                found = self.moment(local.replace(year=_leap(local.year - 1, local.month, local.day)))
        except (ValueError, OverflowError):
            return None
        time_ns = found * _NS
        if second == "60":  # a leap second is the next second's first, as in POSIX
            time_ns += _NS
        if millis := said("millis"):
            time_ns += int(millis) * 1_000_000
        elif fraction := said("fraction"):
            time_ns += int(fraction.ljust(9, "0"))
        return self.passed(time_ns)

    def passed(self, time_ns: int) -> int:
        """Enters the time of a line, however it was read."""
        self._last_ns = time_ns
        return time_ns

    def moment(self, local: datetime, offset: str | None = None, abbreviation: str | None = None) -> int:
        """Unix seconds of a local time in the zone it names, else in the file's."""
        if offset:
            return _seconds(local, zones.of_offset(offset))
        if abbreviation and (named := zones.of_abbreviation(abbreviation, local, self.zone)) is not None:
            return _seconds(local, named)
        self.used_zone = True
        first = _seconds(local, self.zone)
        if first * _NS >= self._last_ns - _JITTER_NS and not self._second_hour:
            return first
        # In autumn an hour comes twice. Its second pass has begun when times go back, and lasts until it is over.
        second = _seconds(local.replace(fold=1), self.zone)
        self._second_hour = second > first and second * _NS >= self._last_ns - _JITTER_NS
        return second if self._second_hour else first

    def _year(self, month: int, day: int) -> int:
        if self._years is None and self._read_years is not None:
            self._years = self._read_years()
        if self._years is not None:
            return self._years.year_of(month, day)
        return _leap(datetime.fromtimestamp(self._written, self.zone).year, month, day)


@lru_cache(maxsize=4096)  # many lines say the same second
def _local(
    year: str | None, year2: str | None, month: str | None, mon: str | None, day: str | None,
    hour: str | None, minute: str | None, second: str | None, half: str | None,
) -> datetime:  # fmt: skip
    """The time that is said, in the year _NO_YEAR if none is. Raises ValueError."""
    hours = int(hour or 0)
    if half is not None:
        hours = hours % 12 + (12 if half == "PM" else 0)
    return datetime(
        int(year or 0) or (2000 + int(year2) if year2 else _NO_YEAR),
        int(month or MONTHS.get(mon or "", 0)),
        int(day or 0),
        hours,
        int(minute or 0),
        min(int(second or 0), 59),
    )


def _leap(year: int, month: int, day: int) -> int:
    """The last year up to `year` that has the day."""
    while (month, day) == (2, 29) and not isleap(year):
        year -= 1
    return year


def _seconds(local: datetime, zone: tzinfo) -> int:
    return _seconds_with(local, local.fold, zone)


@lru_cache(maxsize=4096)
def _seconds_with(local: datetime, fold: int, zone: tzinfo) -> int:  # equal datetimes may differ in their fold
    return int(local.replace(tzinfo=zone, fold=fold).timestamp())
