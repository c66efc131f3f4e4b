"""How many records of the store a plan has: every page of their partitions is read, for as long as a request may take.

What is not read by then is kept in the bucket, and the next request for the same plan goes on there, at any replica.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from hashlib import sha256
from typing import Any

import orjson
from pydantic import BaseModel, Field

from penstock.broker import Broker, Keys, if_there
from penstock.errors import PenstockError, Refused
from penstock.rpc.messages import FedPage, PlanReplay, StoredUpTo, StoreSelection
from penstock.services.operator.replay import store_pages

SECONDS = 100.0  # of a request
ABREAST = 4  # partitions counted at a time
DIGITS = 12  # of the name of a count


class StoreCount(BaseModel):
    """A count, as far as it is. `spans`: by stream number, first and last sequence; partitions from `next` on are not
    begun, and those in `begun` are counted up to a place."""

    request: str
    selection: StoreSelection
    streams: list[StoredUpTo]
    spans: dict[str, tuple[int, int, int]] = Field(default_factory=dict)
    bytes: int = 0
    by_type: Counter[str] = Field(default_factory=Counter)
    by_publisher: Counter[str] = Field(default_factory=Counter)
    by_day: Counter[str] = Field(default_factory=Counter)
    next: int = 0
    begun: dict[int, str | None] = Field(default_factory=dict)

    @property
    def partitions(self) -> list[store_pages.Partition]:
        """All that are read."""
        return store_pages.partitions(self.selection)

    @property
    def whole(self) -> bool:
        """Whether everything is counted."""
        return self.next >= len(self.partitions) and not self.begun

    @property
    def done(self) -> int:
        """Partitions that are counted to their end."""
        return self.next - len(self.begun)

    @property
    def total(self) -> int:
        """Records counted so far."""
        return sum(number for number, _, _ in self.spans.values())

    async def go_on(self, broker: Broker, seconds: float) -> None:
        """Counts for so long, and a page of each partition at hand at least. Raises PenstockError when the store fails
        before anything was counted."""
        deadline, partitions = time.monotonic() + seconds, self.partitions
        waiting, pages_read = list(self.begun), 0

        async def work() -> None:
            nonlocal pages_read
            pages = store_pages.Pages(broker)
            while waiting or self.next < len(partitions):
                if waiting:
                    number = waiting.pop()
                else:
                    number, self.next = self.next, self.next + 1
                    self.begun[number] = None
                while number in self.begun:
                    page = await pages.ask(partitions[number], self.begun[number], self.streams, self.selection)
                    self._add(page)
                    pages_read += 1
                    self.begun[number] = page.last_key
                    if page.end:
                        del self.begun[number]
                    if time.monotonic() > deadline:
                        return

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(ABREAST):
                    group.create_task(work())
        except* PenstockError as failed:
            if not pages_read:
                raise failed.exceptions[0] from None

    def _add(self, page: FedPage) -> None:
        self.bytes += page.bytes
        for span in page.streams:
            number, first, last = self.spans.get(span.stream, (0, span.first, span.last))
            self.spans[span.stream] = (number + span.count, min(first, span.first), max(last, span.last))
        self.by_type.update(page.by_type)
        self.by_publisher.update(page.by_publisher)
        self.by_day.update(page.by_day)


class StoreCounts:
    """The counts that are under way, in the bucket."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def find(self, name: str, request: PlanReplay) -> tuple[StoreCount, int]:
        """A count and its revision. Raises Refused NOT_FOUND, or CONFLICT when it is of another plan."""
        entry = await if_there(self._keys.get(_key(name)))
        if entry is None:
            raise Refused("NOT_FOUND", f"there is no count {name}; plan without it", pointer="/count")
        found = StoreCount.model_validate_json(entry.value)
        if found.request != fingerprint(request):
            raise Refused("CONFLICT", f"count {name} is of another plan", pointer="/count")
        return found, entry.revision

    async def keep(self, count: StoreCount, name: str, revision: int) -> None:
        """Keeps how far a count is. Raises Refused CONFLICT when another request went on with it meanwhile."""
        await self._keys.put(_key(name), count.model_dump_json().encode(), expected=revision)


def fingerprint(request: PlanReplay) -> str:
    """What is counted for a request; not how fast it is replayed, and why."""
    body: dict[str, Any] = request.to_json()
    counted = {name: body.get(name) for name in ("target", "effect", "time", "match", "period", "table")}
    return sha256(orjson.dumps(counted, option=orjson.OPT_SORT_KEYS)).hexdigest()


def name_of(count: StoreCount) -> str:
    """A name for a new count."""
    return sha256(f"{count.request} {time.time_ns()}".encode()).hexdigest()[:DIGITS]


def _key(name: str) -> str:
    return f"count.{name}"
