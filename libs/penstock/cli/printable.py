"""Text of others → text that a terminal shows and does not obey."""

from __future__ import annotations

import json
import re

# C0 with DEL, C1, what turns the direction of text or hides it, line separators, and halves of a surrogate pair.
_ACTING = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff"
    "\\U000e0000-\\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str, *, lines: bool = False) -> str:
    """The text with each character that acts on a terminal as an escape; with `lines`, line breaks and tabs stay."""
    if text.isprintable():
        return text
    return _ACTING.sub(_escape_but_lines if lines else _escape, text)


def json_shown(text: str) -> str:
    """The same for a JSON text, which keeps its meaning."""
    return text if text.isprintable() else _ACTING.sub(_json_escape, text)


def _escape_but_lines(match: re.Match[str]) -> str:
    return match[0] if match[0] in "\n\t" else _escape(match)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    long = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else long)


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
