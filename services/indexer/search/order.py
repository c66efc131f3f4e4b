"""The order of events by time: to the nanosecond, and as their stream has them where times are equal.

Documents of before these members were mapped are the first ones of their millisecond, in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from penstock.services.indexer.search.cursor import Kind

Json = dict[str, Any]
Order = Literal["asc", "desc"]
_HIGHEST = (1 << 63) - 1
_ABOVE_KEYS = "g"

VALUES: tuple[Kind, ...] = ("time", "natural", "natural", "key")
VALUES_BEFORE: tuple[Kind, ...] = ("time", "key")  # in cursors of before


def by_time(order: Order) -> list[Json]:
    """What to sort by. `time`, in milliseconds, is indexed, so that documents far from the page are passed over."""
    return [
        {"time": {"order": order}},
        {"time.ns": {"order": order, "missing": 0, "unmapped_type": "date_nanos"}},
        {"sequence": {"order": order, "missing": 0, "unmapped_type": "long"}},
        {"key": {"order": order}},
    ]


def continued(values: Sequence[Any], order: Order) -> list[Any]:
    """The sort values of a cursor. One of before has its millisecond told again, rather than something left out."""
    if len(values) == len(VALUES):
        return list(values)
    return [values[0], 0, 0, ""] if order == "asc" else [values[0], _HIGHEST, _HIGHEST, _ABOVE_KEYS]
