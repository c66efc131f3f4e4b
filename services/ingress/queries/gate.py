"""Of the questions that an identity may have at work, those that the workers have while others ask, too.

Two deep searches keep two cores busy. So with company, who has kept the workers busy for long has one question there at
a time, and the further ones wait here, at no cost. It is the busiest that is held back: an honest reader's questions
take long, too, while a greedy one's are at work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penstock.errors import Unavailable
from penstock.services.ingress import metrics
from penstock.services.ingress.access.company import Company

PATIENCE = 10.0  # seconds that a question waits
LOOK = 0.5  # seconds after which one that waits looks whether others have gone or work is forgotten
AT_EASE = 1.0  # seconds of work that an identity may have had lately before it has one question at a time
DRAIN = 0.8  # seconds of work that are forgotten in a second

_USED_UP = metrics.SHARES_USED_UP.labels("query_at_work_identity")


class _Reader:
    """What the workers have of one identity."""

    def __init__(self) -> None:
        self.at_work = 0
        self.waiting: deque[asyncio.Future[None]] = deque()  # none is done
        self._work = 0.0  # seconds that are not forgotten
        self._at = time.monotonic()

    def work(self, seconds: float = 0.0) -> float:
        """Seconds of work lately, with these."""
        now = time.monotonic()
        self._work = max(0.0, self._work - (now - self._at) * DRAIN) + seconds
        self._at = now
        return self._work


class Gate:
    """`most`: questions of one identity that the workers have at one time while others are there."""

    def __init__(self, most: int, company: Company) -> None:
        self._most = most
        self._company = company
        self._readers: dict[str, _Reader] = {}

    @asynccontextmanager
    async def one(self, identity: str) -> AsyncIterator[None]:
        """The turn of a question, for the time of the block. Raises Unavailable QUERY_SHARE_USED after PATIENCE."""
        self._company.note(identity)
        reader = self._readers.get(identity)
        if reader is None:
            reader = self._new(identity)
        self._release(identity, reader)
        if reader.waiting or not self._has_room(identity, reader):
            await self._wait(identity, reader)
        else:
            reader.at_work += 1
        began = time.monotonic()
        try:
            yield
        finally:
            reader.work(time.monotonic() - began)
            self._leave(identity, reader)

    def end(self) -> None:
        """The process stops: nobody is held back any more."""
        self._company.end()
        for identity, reader in self._readers.items():
            self._release(identity, reader)

    def _new(self, identity: str) -> _Reader:
        """Those that nothing is known of any more are forgotten."""
        self._readers = {name: each for name, each in self._readers.items() if each.at_work or each.work()}
        reader = self._readers[identity] = _Reader()
        return reader

    def _has_room(self, identity: str, reader: _Reader) -> bool:
        if not reader.at_work or not self._company.has(identity):
            return True
        if reader.at_work >= self._most:
            return False
        work = reader.work()  # where the stores are slow for all, only the busiest is held back
        return work < AT_EASE or any(each.work() > work for each in self._readers.values())

    async def _wait(self, identity: str, reader: _Reader) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reader.waiting.append(turn)
        try:
            async with asyncio.timeout(PATIENCE):
                while not turn.done():
                    await asyncio.wait([turn], timeout=LOOK)
                    self._release(identity, reader)
        except BaseException as error:
            if turn.done():  # it was given a place in the moment of its end
                self._leave(identity, reader)
            else:
                reader.waiting.remove(turn)
            if not isinstance(error, TimeoutError):
                raise
            _USED_UP.inc()
            detail = f"{identity} keeps the workers busy, and others are there: its questions are answered one by one"
            raise Unavailable("QUERY_SHARE_USED", detail, retry_after=1) from None

    def _leave(self, identity: str, reader: _Reader) -> None:
        reader.at_work -= 1
        self._release(identity, reader)

    def _release(self, identity: str, reader: _Reader) -> None:
        """Gives the places that are free to those that have waited longest."""
        while reader.waiting and self._has_room(identity, reader):
            reader.waiting.popleft().set_result(None)
            reader.at_work += 1
