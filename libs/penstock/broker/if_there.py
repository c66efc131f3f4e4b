"""A look for something that may not be there → what it finds, or None."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from penstock.errors import Refused

T = TypeVar("T")


async def if_there(looking: Awaitable[T]) -> T | None:
    """What the look finds; None where it is refused with NOT_FOUND. Raises as the look."""
    try:
        return await looking
    except Refused as error:
        if error.code != "NOT_FOUND":
            raise
        return None
