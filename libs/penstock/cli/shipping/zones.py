"""Names and offsets of time zones as logs write them → tzinfo; the time zone of this machine."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

# Hours east of UTC. Only abbreviations with one meaning in practice; others hold where the zone of the file has them.
ABBREVIATIONS = {
    "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "SAST": 2,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8,
    "HST": -10, "JST": 9, "KST": 9, "HKT": 8, "AWST": 8, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
_LOCALTIME = Path("/etc/localtime")


@lru_cache(maxsize=64)
def of_offset(text: str) -> tzinfo:
    """The zone of Z, +02:00, +0200 or +02."""
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-span if text[0] == "-" else span)


def of_abbreviation(name: str, local: datetime, zone: tzinfo) -> tzinfo | None:
    """The zone that an abbreviation means at a local time, in a file whose times are in `zone`; None if unknown."""
    for fold in (0, 1):
        moment = local.replace(tzinfo=zone, fold=fold)
        if moment.tzname() == name and (offset := moment.utcoffset()) is not None:
            return timezone(offset)
    hours = ABBREVIATIONS.get(name)
    return None if hours is None else timezone(timedelta(hours=hours))


def of_machine() -> tzinfo:
    """The time zone of this machine."""
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return ZoneInfo(name)
        target = str(_LOCALTIME.resolve())
        if "/zoneinfo/" in target:
            return ZoneInfo(target.partition("/zoneinfo/")[2])
        with _LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file, key=datetime.now().astimezone().tzname())
    except (OSError, ValueError):
        return datetime.now().astimezone().tzinfo or UTC


def name_of(zone: tzinfo) -> str:
    """A zone's name for people."""
    return getattr(zone, "key", None) or str(zone)
