"""Options of `penstock dlq` → DeadLetterMatch, as it goes over the wire."""

from __future__ import annotations

import re
from typing import Any

from penstock.cli.replay_client import since_of
from penstock.errors import Refused

_LETTER = re.compile(r"(\d+)(?:-(\d+))?\Z")


def match_of(
    workers: list[str] | None,
    codes: list[str] | None,
    types: list[str] | None,
    publishers: list[str] | None,
    states: list[str] | None,
    since: str,
    dead_letters: list[str] | None,
) -> dict[str, Any]:
    """Only what was given. Raises Refused REPLAY_BOUNDS_INVALID."""
    members: dict[str, Any] = {
        "workers": workers,
        "codes": codes,
        "types": types,
        "publishers": publishers,
        "states": states,
        "time": {"from": since_of(since)} if since else None,
        "sequences": [_span(text) for text in dead_letters or ()],
    }
    return {name: each for name, each in members.items() if each}


def _span(text: str) -> dict[str, int]:
    found = _LETTER.match(text)
    if found is None:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{text!r} is not the number of a dead letter, nor FIRST-LAST")
    return {"first": int(found[1]), "last": int(found[2] or found[1])}
