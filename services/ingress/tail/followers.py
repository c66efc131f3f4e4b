"""tail.> (copies of what the streams store) → checked → filtered for each follower → server-sent events.

event: open    the subscription is in place; what is stored from now on comes
event: event   one stored record, as from GET /v1/events/{key}; `id` is stream:sequence for each stream, with commas
event: gap     `dropped` records did not fit the follower's queue; null where nobody knows how many are missing: too
               much was stored since the Last-Event-ID or since the connection to the broker broke, or the stream cannot
               be read
event: end     no more will come; `code` says why
: beat         a comment, after some seconds without any of these
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from penstock.broker import Broker, Message, Subscription
from penstock.consume import Copies
from penstock.contracts import Contracts
from penstock.contracts.subjects import TAIL, parse_event, partition, tailed
from penstock.errors import PenstockError, Refused
from penstock.events import Checker, Event
from penstock.services.ingress import metrics
from penstock.services.ingress.tail.missed import GAP, Missed, frame_of, id_of, last_of

QUEUE_EVENTS = 500
QUEUE_BYTES = 1024 * 1024
BEAT_SECONDS = 15.0
PIECE_BYTES = 8 * 1024


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
        self._queue: deque[tuple[bytes, str, int] | Missed] = deque()
        self._missed: Missed | None = None
        self._size = 0
        self._dropped = 0
        self._closed = self._cut = False
        self._news = asyncio.Event()

    def resume(self, missed: Missed) -> None:
        """What was stored while the client was away comes first."""
        self._missed = missed

    def wants(self, event: Event) -> bool:
        """Whether the client gets the event."""
        return event.type.type in self.wanted.types and self.wanted.entity in (None, event.entity)

    def push(self, frame: bytes, event: Event) -> None:
        """Queues the frame of an event, or counts it as dropped."""
        if self._dropped or len(self._queue) >= QUEUE_EVENTS or self._size + len(frame) > QUEUE_BYTES:
            self._dropped += 1
            metrics.TAIL_GAPS.inc()
        else:
            self._queue.append((frame, event.stream, event.sequence))
            self._size += len(frame)
        self._news.set()

    def broken(self, missed: Missed) -> None:
        """The connection to the broker broke, or was renewed: what was stored meanwhile comes next."""
        self._queue.append(missed)
        self._news.set()

    def close(self) -> None:
        """Ends the client's stream after what is queued."""
        self._closed = True
        self._news.set()

    def cut(self) -> None:
        """Ends the client's stream at once: what is queued is not for it any more."""
        self._cut = True
        self.close()

    async def frames(self) -> AsyncIterator[bytes]:
        """What the client gets, until `close` or `cut`."""
        async with aclosing(self._frames()) as frames:
            async for frame in frames:
                if self._cut:
                    return
                yield frame

    async def _frames(self) -> AsyncGenerator[bytes]:
        yield b"event: open\ndata: {}\n\n"
        passed: dict[str, int] = {}
        if self._missed is not None:
            async for frame in self._missed.frames(self.wants, self.pp):
                yield frame
            passed = self._missed.positions
        while not self._closed:
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield b": beat\n\n"
                continue
            self._news.clear()
            # Small frames go in one piece, as each piece costs; before each it is looked at whether to go on.
            together = b""
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, Missed):
                    if together:
                        yield together
                        together = b""
                    try:
                        async for frame in item.frames(self.wants, self.pp):
                            yield frame
                        passed |= item.positions
                    except PenstockError:
                        yield GAP
                    continue
                frame, stream, sequence = item
                self._size -= len(frame)
                if sequence > passed.get(stream, 0):  # else it was among what the client had missed
                    together += frame
                    if len(together) >= PIECE_BYTES:
                        yield together
                        together = b""
            if together:
                yield together
            if self._dropped:  # only now is there room again, so the gap is behind all that was queued
                dropped, self._dropped = self._dropped, 0
                yield b'event: gap\ndata: {"dropped":%d}\n\n' % dropped


class Tail:
    """All followers of this process; it listens to the broker only while there are any."""

    def __init__(self, contracts: Contracts) -> None:
        self._copies = Copies(contracts, Checker(contracts))
        self._followers: set[Follower] = set()
        self._broker: Broker | None = None
        self._subscription: Subscription | None = None
        self._turn = asyncio.Lock()
        self._positions: dict[str, int] = {}  # the last sequence of each stream

    async def open(self, broker: Broker, wanted: Wanted, after: str = "") -> Follower:
        """A new follower, subscribed; `after` is the id of the last event that the client has seen.

        Raises Unavailable.
        """
        follower = Follower(wanted)
        self._followers.add(follower)
        metrics.TAILS.set(len(self._followers))
        try:
            async with self._turn:
                begins = self._subscription is None
                if begins:
                    self._subscription = await broker.subscribe(TAIL, self._take)
                if self._broker is not broker:
                    self._broker = broker
                    broker.on_reconnect(self._broke)
            await broker.flush()
            if begins:
                self._positions = {name: await last_of(broker, name) for name in self._copies.streams}
            follower.resume(Missed(broker, self._copies, after))
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
        if self._broker is not None:
            for follower in self._followers:
                follower.broken(Missed(self._broker, self._copies, id_of(self._positions)))

    def _take(self, message: Message) -> None:
        try:
            about = parse_event(tailed(message.subject))
            interested = [f for f in self._followers if about.type in f.wanted.types and f.pp in (None, about.pp)]
            if not interested:
                return
            event = self._copies.event_of(message)
        except Refused:
            return  # what the stores will not keep is not shown either
        self._positions[event.stream] = event.sequence
        frame = frame_of(event, self._positions)
        for follower in interested:
            if follower.wants(event):
                follower.push(frame, event)
