"""The level of a log line as programs spell it."""

from __future__ import annotations

_SAME = (
    ("trace", "trc", "trce", "t", "verbose", "vrb", "verb", "v", "silly", "sill", "finest", "finer"),
    (
        "debug",
        "dbg",
        "dbug",
        "d",
        "fine",
        "debug1",
        "debug2",
        "debug3",
        "debug4",
        "debug5",
        "d1",
        "d2",
        "d3",
        "d4",
        "d5",
    ),
    ("info", "inf", "i", "information", "informational"),
    ("notice", "note"),
    ("warning", "warn", "wrn", "w"),
    ("error", "err", "e", "severe", "fail"),
    ("fatal", "ftl", "f", "critical", "crit"),
    ("emergency", "emerg", "panic"),
)
_SPELLINGS = {spelling: group for group in _SAME for spelling in group}


def spellings_of(level: str) -> tuple[str, ...]:
    """All spellings of the same level; only the one given if it is none of the usual ones. Case does not count."""
    return _SPELLINGS.get(level.lower(), (level,))
