"""A line of name=value pairs (logfmt) → its members."""

from __future__ import annotations

import re

_PAIR = re.compile(r'([A-Za-z_@][\w.@/-]*)=(?:"((?:[^"\\]|\\.)*+)"|([^\s"]*))(?:\s+|\Z)')
_BARE = re.compile(r"([A-Za-z_][\w.-]*)(?:\s+|\Z)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
FEWEST = 3  # pairs, one of them a message and one a level or a time
_MESSAGES, _OTHERS = {"msg", "message"}, {"level", "lvl", "severity", "time", "ts", "timestamp", "t", "caller"}


def members(text: str) -> dict[str, str] | None:
    """The members of a line that consists of pairs only; None if it is any other text."""
    if (first := _PAIR.match(text)) is None or first[1] not in _MESSAGES | _OTHERS:
        return None
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if match := _PAIR.match(text, at):
            name, value = match[1], match[3] if match[2] is None else _ESCAPE.sub(_unescaped, match[2])
        elif match := _BARE.match(text, at):
            name, value = match[1], "true"
        else:
            return None
        if name in found:
            return None
        found[name] = value
        at = match.end()
    named = _MESSAGES & found.keys() and _OTHERS & found.keys()
    return found if named and len(found) >= FEWEST else None


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[1], match[1])
