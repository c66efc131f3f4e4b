"""A file whose lines say no year → the year of each line.

The file is read once beforehand: each time the months begin anew a year has passed, February 29 is in a leap year, and
the last line is not later than the file's last change.
"""

from __future__ import annotations

import re
from calendar import isleap, month_abbr
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

Day = tuple[int, int]  # month and day
MONTHS = {name: n for n, name in enumerate(month_abbr) if name}

_NEW_YEAR, _NEW_YEARS_EVE = (1, 1), (12, 31)
_DATED = re.compile(
    rb"(?:<\d{1,3}>)?(?:(?P<mon>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2})|(?P<month>\d\d)-(?P<day2>\d\d)|"
    rb"[IWEF](?P<month2>\d\d)(?P<day3>\d\d)) \d{1,2}:"
)


class Years:
    """Gives the year of each line, from the first to the last."""

    def __init__(self, days: Iterable[Day], written_ns: int, zone: tzinfo) -> None:
        parts: list[set[Day]] = [set()]
        last: Day | None = None
        for day in days:
            if _turns(last, day):
                parts.append(set())
            if not _late(last, day):
                parts[-1].add(day)
                last = day
        written = datetime.fromtimestamp(written_ns // 1_000_000_000, zone)
        newest = written.year - (last is not None and last > (written.month, written.day + 1))
        first = newest - len(parts) + 1
        tried = range(first, first - 8, -1)
        self._year = next((year for year in tried if all(map(_exist, parts, range(year, year + len(parts))))), first)
        self._last: Day | None = None

    def year_of(self, month: int, day: int) -> int:
        """The year of the next line."""
        this = (month, day)
        if _late(self._last, this):
            return self._year - 1
        if _turns(self._last, this):
            self._year += 1
        self._last = this
        return self._year


def days_of(lines: Iterable[bytes]) -> Iterator[Day]:
    """Month and day of each line that begins with them and no year."""
    for line in lines:
        if match := _DATED.match(line):
            month = int(match["month"] or match["month2"] or MONTHS.get((match["mon"] or b"").decode(), 0))
            day = int(match["day"] or match["day2"] or match["day3"])
            if 1 <= month <= 12 and 1 <= day <= 31:
                yield month, day


def _turns(last: Day | None, day: Day) -> bool:
    return last is not None and last[0] >= 11 and day[0] <= 2


def _late(last: Day | None, day: Day) -> bool:
    """A line of the old year behind one of the new: lines are not always in order."""
    return last == _NEW_YEAR and day == _NEW_YEARS_EVE


def _exist(days: set[Day], year: int) -> bool:
    return (2, 29) not in days or isleap(year)
