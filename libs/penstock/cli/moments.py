"""times as people type them → RFC 3339."""

from __future__ import annotations

import re
from datetime import datetime

import typer

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]")


def moment(text: str | None) -> str | None:
    """A day becomes its first moment in this machine's zone; the API judges whatever has a time of day. Raises
    typer.BadParameter for what is neither."""
    if text is None or _TIME.match(text):
        return text
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is neither a day like 2026-11-21 nor a time like 2026-11-21T08:00:00Z")
