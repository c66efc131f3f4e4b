"""Events of one entity at equal times and within one millisecond, and answers read page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from penstock.events import Event
from tests.support.deliveries import event_of, line

SECOND = "2026-11-01T10:00:00"
# As they are sent. The last two come too late, as another process wrote them.
TIMES = [
    *[f"{SECOND}Z"] * 8,
    *[f"{SECOND}.0000{n:02d}Z" for n in (3, 12, 12, 50)],
    f"{SECOND}.000011999Z",
    f"{SECOND}Z",
]
ASCENDING = [0, 1, 2, 3, 4, 5, 6, 7, 13, 8, 12, 9, 10, 11]
SIZES = [1, 2, 100]

Page = dict[str, Any]


def steps(host: str, *, first: int = 1) -> list[Event]:
    """One event for each of TIMES, in the order of their sequences, which begin at `first`."""
    return [event_of(line(f"step {n}", host=host, time=time), sequence=first + n) for n, time in enumerate(TIMES)]


async def all_pages(ask: Callable[[Page], Awaitable[Page]], request: Page, items: str) -> list[str]:
    """The keys of all items, over all pages."""
    keys: list[str] = []
    more: Page = {}
    while True:
        page = await ask({**request, **more})
        keys += [item["key"] for item in page[items]]
        if "cursor" not in page:
            return keys
        more = {"cursor": page["cursor"]}


def numbers(keys: list[str], events: list[Event]) -> list[int]:
    """Which of the events these are."""
    known = [event.key for event in events]
    return [known.index(key) for key in keys]
