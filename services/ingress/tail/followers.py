"""tail.> (copies of what the streams store) → checked → filtered for each follower → server-sent events.

event: open    the subscription is in place; what is stored from now on comes
event: event   one stored record, as from GET /v1/events/{key}; `id` is stream:sequence
event: gap     `dropped` records did not fit the follower's queue, or (null) the connection to the broker broke
: beat         a comment, after some seconds without any of these
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from penstock.broker import Broker, Message, Subscription
from penstock.consume import Copies
from penstock.contracts import Contracts
from penstock.contracts.subjects import TAIL, parse_event, partition, tailed
from penstock.errors import Refused, Unavailable
from penstock.events import Checker, record
from penstock.services.ingress import metrics

MOST_FOLLOWERS = 64
QUEUE_EVENTS = 500
QUEUE_BYTES = 1024 * 1024
BEAT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a follower wants to see, and may see."""

    types: frozenset[str]
    entity: str | None = None


class Follower:
    """One client's queue, bounded in events and bytes."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.pp = None if wanted.entity is None else partition(wanted.entity)
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._broken = False
        self._closed = False
        self._news = asyncio.Event()

    def push(self, frame: bytes) -> None:
        """Queues a frame, or counts it as dropped."""
        if self._dropped or len(self._queue) >= QUEUE_EVENTS or self._size + len(frame) > QUEUE_BYTES:
            self._dropped += 1
            metrics.TAIL_GAPS.inc()
        else:
            self._queue.append(frame)
            self._size += len(frame)
        self._news.set()

    def broken(self) -> None:
        """The connection to the broker broke: nobody knows how much is missing."""
        self._broken = True
        self._news.set()

    def close(self) -> None:
        """Ends the client's stream."""
        self._closed = True
        self._news.set()

    async def frames(self) -> AsyncIterator[bytes]:
        """What the client gets, until `close`."""
        yield b"event: open\ndata: {}\n\n"
        while not self._closed:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield b": beat\n\n"
                continue
            self._news.clear()
            while self._queue:
                frame = self._queue.popleft()
                self._size -= len(frame)
                yield frame
            if self._dropped:  # only now is there room again, so the gap is behind all that was queued
                dropped, self._dropped = self._dropped, 0
                yield b'event: gap\ndata: {"dropped":%d}\n\n' % dropped
            if self._broken:
                self._broken = False
                yield b'event: gap\ndata: {"dropped":null}\n\n'


class Tail:
    """All followers of this process; it listens to the broker only while there are any."""

    def __init__(self, contracts: Contracts) -> None:
        self._copies = Copies(contracts, Checker(contracts))
        self._followers: set[Follower] = set()
        self._broker: Broker | None = None
        self._subscription: Subscription | None = None
        self._turn = asyncio.Lock()

    async def open(self, broker: Broker, wanted: Wanted) -> Follower:
        """A new follower, subscribed. Raises Unavailable OVERLOADED when there are too many already."""
        if len(self._followers) >= MOST_FOLLOWERS:
            raise Unavailable("OVERLOADED", f"{MOST_FOLLOWERS} clients follow already", retry_after=10)
        follower = Follower(wanted)
        self._followers.add(follower)
        metrics.TAILS.set(len(self._followers))
        try:
            async with self._turn:
                if self._subscription is None:
                    self._subscription = await broker.subscribe(TAIL, self._take)
                if self._broker is not broker:
                    self._broker = broker
                    broker.on_reconnect(self._broke)
            await broker.flush()
        except BaseException:
            await self.leave(follower)
            raise
        return follower

    async def leave(self, follower: Follower) -> None:
        """The client has gone."""
        self._followers.discard(follower)
        metrics.TAILS.set(len(self._followers))
        async with self._turn:
            if not self._followers and self._subscription is not None:
                subscription, self._subscription = self._subscription, None
                await subscription.stop()

    def close(self) -> None:
        """Ends every client's stream."""
        for follower in self._followers:
            follower.close()

    def _broke(self) -> None:
        for follower in self._followers:
            follower.broken()

    def _take(self, message: Message) -> None:
        try:
            about = parse_event(tailed(message.subject))
            interested = [f for f in self._followers if about.type in f.wanted.types and f.pp in (None, about.pp)]
            if not interested:
                return
            frame, entity = self._frame(message)
        except Refused:
            return  # what the stores will not keep is not shown either
        for follower in interested:
            if follower.wanted.entity in (None, entity):
                follower.push(frame)

    def _frame(self, message: Message) -> tuple[bytes, str]:
        event = self._copies.event_of(message)
        head = f"event: event\nid: {event.stream}:{event.sequence}\ndata: "
        return head.encode() + record(event) + b"\n\n", event.entity
