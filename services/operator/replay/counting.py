"""How many messages of a stream match filters between two sequences: exactly, or at least, and said which.

A consumer that begins at `first` has as many pending as match from there on; one that begins behind `last` as many as
lie beyond it. Their difference is the number, but live traffic raises both between two readings. So the first is read
between two readings of the second, which bound it: a bracket.

nats-server tells its consumers of new messages one after the other: at the moment of a reading, one of the pair may
have counted messages that the other has not, and a bracket is then wrong, seldom, either way. Brackets that leave one
number only are therefore votes, and the number is taken once it leads by LEAD of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median_low
from typing import TypeVar

from penstock.broker import Broker
from penstock.contracts.topology import REPLAY_COUNTERS, REPLAY_TAIL
from penstock.errors import Refused, Unavailable
from penstock.services.operator.replay import consumers

T = TypeVar("T")

LEAD = 4  # votes by which a number has to lead
BRACKETS = 2000  # before a number is given up as "at least", if there is time for so many
IDLE = 10.0  # seconds after which the server deletes counters that a killed operator left
_TEMPORARY = {"mem_storage": True, "num_replicas": 1, "inactive_threshold": int(IDLE * 1e9), "headers_only": True}


@dataclass(frozen=True, slots=True)
class Count:
    """A number of messages; not `exact`: there are at least so many."""

    number: int
    exact: bool = True

    def __add__(self, other: Count) -> Count:
        return Count(self.number + other.number, self.exact and other.exact)


class Counters:
    """Counts, as many at a time as there are pairs of names. Other replicas count with the same names, in turn."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._free: asyncio.Queue[str] = asyncio.Queue()
        for name in REPLAY_COUNTERS:
            self._free.put_nowait(name)

    async def count(
        self, stream: str, filters: tuple[str, ...], first: int, last: int, *, deadline: float | None = None
    ) -> Count:
        """Messages from `first` to `last` that match; after `deadline` (time.monotonic() seconds) what is known by
        then.

        Raises Unavailable OVERLOADED when all names are taken for too long.
        """
        if first > last:
            return Count(0)
        name = await self._free.get()
        if deadline is not None and time.monotonic() > deadline:
            self._free.put_nowait(name)
            return Count(0, exact=False)
        try:
            return await self._with_pair(
                stream, name, filters, first, last, lambda: self._bracket(stream, name, deadline)
            )
        finally:
            self._free.put_nowait(name)

    async def _with_pair(
        self,
        stream: str,
        name: str,
        filters: tuple[str, ...],
        first: int,
        last: int,
        work: Callable[[], Awaitable[T]],
    ) -> T:
        tail = name + REPLAY_TAIL
        mark = os.urandom(8).hex()  # makes two counts differ, so that nobody takes another's counter for his own
        more = {**_TEMPORARY, "description": mark}
        try:
            await self._create(stream, tail, last + 1, filters, more)
            await self._create(stream, name, first, filters, more)
            return await work()
        finally:
            for each in (name, tail):
                await consumers.delete(self._broker, stream, each)

    async def _create(
        self, stream: str, name: str, first: int, filters: tuple[str, ...], more: dict[str, object]
    ) -> None:
        for _ in range(int(2 * IDLE / 0.1)):
            try:
                await consumers.create(self._broker, stream, name, first, filters, **more)
                return
            except Refused as error:
                if error.code != "PROVISION_REFUSED" or "10148" not in error.detail:
                    raise
            await asyncio.sleep(0.1)  # the other replica counts, or was killed when it did
        raise Unavailable("OVERLOADED", f"{stream}/{name} is taken by another count", retry_after=IDLE)

    async def _bracket(self, stream: str, name: str, deadline: float | None) -> Count:
        broker, tail = self._broker, name + REPLAY_TAIL
        tally = Tally()
        for _ in range(BRACKETS):
            # Sent in one piece, and answered in this order: the closer together, the tighter the bracket.
            before, main, after = await asyncio.gather(
                broker.jetstream.consumer_info(stream, tail),
                broker.jetstream.consumer_info(stream, name),
                broker.jetstream.consumer_info(stream, tail),
            )
            tally.add(main.pending - after.pending, main.pending - before.pending)
            if tally.leader is not None:
                return Count(tally.leader)
            if deadline is not None and time.monotonic() > deadline:
                break
        return Count(tally.least, exact=False)


class Tally:
    """What brackets say of a number; few of them are wrong."""

    def __init__(self) -> None:
        self._votes: Counter[int] = Counter()
        self._least: list[int] = []

    def add(self, least: int, most: int) -> None:
        """A bracket: the number lies between the two."""
        self._least.append(least)
        if least == most:
            self._votes[least] += 1

    @property
    def leader(self) -> int | None:
        """The number, once enough brackets agree."""
        ranked = [*self._votes.most_common(2), (0, 0), (0, 0)]
        (number, votes), (_, others) = ranked[:2]
        return number if votes - others >= LEAD else None

    @property
    def least(self) -> int:
        """What the number is not below, as half of the brackets say; 0 without any."""
        return max(median_low(self._least), 0) if self._least else 0
