"""Paths and rules → words, for every check whose sentences reach people.

A pattern is for programs: whoever broke it reads what it means. tests/unit/test_wording.py holds that every pattern
of the contracts and of the requests is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_JSON_MEDIA = "application/json or another media type of JSON"
_INDEX = "an index like events-logs-2026, or table-events or table-timeline"
_REBUILT_INDEX = "an index of a rebuild like events-logs-2026-g2, or one of its tables like events_b"
_VERSION_OF_TYPE = "an event type with its version, like log.line.v1"
PATTERNS = {
    # events
    r"^[^\p{Cc}]+$": "text without control characters",
    r"^[\x20-\x7e]*$": "printable ASCII",
    r"^[A-Za-z0-9_@$/][A-Za-z0-9_@$/ .:=+-]*$": "ASCII letters, digits, spaces and _ @ $ / . : = + -",
    r"^[0-9A-Fa-f:.]+$": "an IP address",
    r"^[0-9a-f]{16}$": "16 hexadecimal digits in lower case",
    r"^[0-9a-f]{32}$": "32 hexadecimal digits in lower case",
    r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$": "a W3C traceparent",
    r"^[a-z][a-z0-9_]*$": "lower-case letters, digits and _, with a letter first",
    r"^[Aa][Pp][Pp][Ll][Ii][Cc][Aa][Tt][Ii][Oo][Nn]/([A-Za-z0-9.+_-]+\+)?[Jj][Ss][Oo][Nn]([ \t]*;.*)?$": _JSON_MEDIA,
    r"^[^\p{Cc}.]*[^\p{Cc}.\s][^\p{Cc}.]*$": "text without dots and control characters",
    # requests
    r"^[a-z][a-z0-9_]{0,63}$": "a name of at most 64 lower-case letters, digits and _, with a letter first",
    r"^[a-z0-9][a-z0-9_-]{0,63}$": "a name of at most 64 lower-case letters, digits, _ and -",
    r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\.v[1-9][0-9]{0,3}$": _VERSION_OF_TYPE,
    r"^@?[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$": "a field like level, exception.type or @publisher",
    r"^[A-Z][A-Z0-9_]{0,63}$": "a name of at most 64 upper-case letters, digits and _",
    r"^[0-9a-f]{12}$": "12 hexadecimal digits in lower case",
    r"^[0-9a-f]{64}$": "a SHA-256 of 64 hexadecimal digits in lower case",
    r"^[0-9a-f]{8,64}$": "the first 8 to 64 hexadecimal digits of a plan's hash",
    r"^[0-9a-f-]{36}(/[a-z][a-z0-9_]*/[0-9]+)?$": "the id of a dead letter, as a list shows it",
    r"^[0-9]{4}(-[0-9]{2}){0,2}$": "a period like 2026, 2026-01 or 2026-01-31",
    r"^[0-9]{4}(s|(-[0-9]{2}){0,2})$": "a period like 2010s, 2026, 2026-01 or 2026-01-31",
    r"^((events|scored)-[a-z0-9_]+(-[a-z0-9_]+)?-[0-9]{4}(s|(-[0-9]{2}){0,2})|table-(events|timeline))$": _INDEX,
    r"^((events|scored)-[a-z0-9_-]+-g[1-9][0-9]*|(events|timeline)(_b)?)$": _REBUILT_INDEX,
}
TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def pattern(text: str) -> str:
    """What a pattern demands."""
    return PATTERNS.get(text, "in the form that its description gives")


def one_of(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *before, last = words
    return f"{', '.join(before)} or {last}" if before else last


def name(path: Sequence[str | int], whole: str) -> str:
    """How a sentence names the member at this path, like `filters[0].value`; an empty path is the `whole`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return f"`{text}`" if text else whole


def count(limit: int, what: str) -> str:
    """`1 item`, `2 items`."""
    return f"{limit} {what}{'' if limit == 1 else 's'}"


def pointer(path: Sequence[str | int]) -> str:
    """An RFC 6901 JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
