"""What is handed in to be stored together, and the result of each message."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from penstock.broker import Stored
from penstock.errors import PenstockError
from penstock.telemetry.traces import current

Result = Stored | PenstockError


class Outgoing(NamedTuple):
    """A message to be stored; all messages of a committer belong on one stream."""

    subject: str
    payload: bytes
    headers: dict[str, str] | None = None


class Submission:
    """Messages submitted together, and the results so far; `future` is set when the last one is known."""

    __slots__ = ("deadline", "future", "items", "missing", "results", "sender", "size", "span", "taken")

    def __init__(self, items: Sequence[Outgoing], size: int, deadline: float, sender: str = "") -> None:
        self.items = items
        self.sender = sender
        self.size = size
        self.deadline = deadline
        self.taken = 0
        self.span = current()
        self.missing = len(items)
        self.results: list[Result | None] = [None] * len(items)
        self.future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, result: Result) -> None:
        """The result of one message; the first one counts."""
        if self.results[index] is None:
            self.results[index] = result
            self.missing -= 1
            if not self.missing and not self.future.done():
                self.future.set_result(self.results)  # type: ignore[arg-type]  # none is None any more


Entry = tuple[Submission, int]
