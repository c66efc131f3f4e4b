"""members of a JSON log line → labels of log.line.v1, with nothing lost.

A value that is no text is JSON. What a label cannot hold (an odd name, a long value, one label too many) is put into
`more`, as JSON, in as many labels as it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from penstock.cli.shipping.documents import text_of

MOST = 32  # labels of their own; the contract takes 64, the rest is for `more`
MOST_OF_MORE = 24
LONGEST = 1024  # characters of a label
MORE = "more"
_NAME = re.compile("[A-Za-z0-9_@$/][A-Za-z0-9_@$/ .:=+-]{0,127}")


def packed(members: Iterable[tuple[str, Any]]) -> tuple[dict[str, str], int]:
    """The labels, and how many characters did not fit into them."""
    labels: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for name, value in members:
        text = value if isinstance(value, str) else text_of(value)
        fits = len(labels) < MOST and len(text) <= LONGEST and _NAME.fullmatch(name) and name != MORE
        if fits and name not in labels:
            labels[name] = text
        else:
            rest[free(name, rest)] = value
    if not rest:
        return labels, 0
    text = text_of(rest)
    pieces = [text[at : at + LONGEST] for at in range(0, len(text), LONGEST)]
    for number, piece in enumerate(pieces[:MOST_OF_MORE], 1):
        labels[MORE if number == 1 else f"{MORE}.{number}"] = piece
    return labels, sum(len(piece) for piece in pieces[MOST_OF_MORE:])


def free(name: str, taken: dict[str, Any]) -> str:
    """The name, with a number where it is taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}.{number}", number + 1
    return found
