"""Questions to the indexer, one after the other, for as long as something is done to its indices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.rpc.client import ask

TIMEOUT = 10.0  # seconds


class Searches:
    """`totals` are the answers to `svc.search.count`, `failures` what was no answer."""

    def __init__(self, broker: Broker, question: dict[str, Any]) -> None:
        self.totals: list[int] = []
        self.failures: list[str] = []
        self._broker = broker
        self._question = question

    async def ask(self) -> int:
        """One more answer. Raises PenstockError."""
        total: int = (await ask(self._broker, "search", "count", self._question, timeout=TIMEOUT))["total"]
        return total

    async def go_on(self, stop: asyncio.Event) -> None:
        """Asks until `stop`."""
        while not stop.is_set():
            try:
                self.totals.append(await self.ask())
            except PenstockError as error:
                self.failures.append(str(error))


@asynccontextmanager
async def searching(broker: Broker, question: dict[str, Any]) -> AsyncIterator[Searches]:
    """It goes on meanwhile."""
    searches, stop = Searches(broker, question), asyncio.Event()
    task = asyncio.create_task(searches.go_on(stop))
    try:
        yield searches
    finally:
        stop.set()
        await task
