"""event → one line of text about it, for timelines

The words of the event where its type has any (what the model reads as text), else its indexed members as name=value.
"""

from __future__ import annotations

from typing import Any

from penstock.contracts import EventType, dig

LONGEST = 200  # characters
_BREAKS = str.maketrans(dict.fromkeys((*range(32), 127, 133, 8232, 8233), " "))


def summary(event_type: EventType, data: Any) -> str:
    """At most LONGEST characters, without line breaks and control characters."""
    for path in event_type.score.text:
        words = dig(data, path) if "." in path else data.get(path)
        if isinstance(words, str) and words:
            return _one_line(words[:LONGEST])
    text = ""
    for path in event_type.indexed:
        value = dig(data, path)
        if isinstance(value, str | int | float) and len(text) < LONGEST:
            text += f" {path.rpartition('.')[2]}={value}"
    return _one_line(text[1 : LONGEST + 1])


def _one_line(text: str) -> str:
    return text if text.isprintable() else text.translate(_BREAKS)
