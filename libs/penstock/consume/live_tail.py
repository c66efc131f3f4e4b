"""tail.<subject> (a copy of what a stream stored) → the checked event.

Copies carry where the original is in headers of the server. No client can publish on tail.>, but anybody can have an
answer sent there: only what names a stream of events, and the subject that it came on, is a copy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from penstock.broker import Message, StoredMessage, time_ns
from penstock.contracts import Contracts
from penstock.contracts.subjects import parse_event, tail, tailed
from penstock.errors import Refused, Unavailable
from penstock.events import Checker, Event


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy, as the check wants a delivery."""

    subject: str
    data: bytes
    headers: dict[str, str]
    stream: str
    sequence: int
    stored_at_ns: int


class Copies:
    """Reads copies; `checker` as the workers have it."""

    def __init__(self, contracts: Contracts, checker: Checker) -> None:
        self._checker = checker
        self.streams = frozenset(contracts.event_streams)

    def event_of(self, message: Message) -> Event:
        """The event that was stored. Raises Refused for what is no copy, or breaks the contract."""
        headers = message.headers
        try:
            stream, sequence, subject = headers["Nats-Stream"], int(headers["Nats-Sequence"]), headers["Nats-Subject"]
            stored_at_ns = time_ns(headers["Nats-Time-Stamp"])
        except (KeyError, ValueError):
            raise Refused("SUBJECT_INVALID", f"{message.subject} is no copy of a stored message") from None
        if stream not in self.streams or message.subject != tail(subject):
            raise Refused("SUBJECT_MISMATCH", f"{message.subject} is not a copy of what a stream stored")
        own = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
        return self._checker.delivered(_Copy(subject, message.data, own, stream, sequence, stored_at_ns))

    def stored(self, message: StoredMessage) -> Event:
        """The event of a message as its stream gives it. Raises Refused for what breaks the contract."""
        return self._checker.delivered(message)


class Follower:
    """A bounded queue of events of some types."""

    def __init__(self, copies: Copies, types: frozenset[str], most: int) -> None:
        self._copies = copies
        self._types = types
        self._most = most
        self._queue: deque[Event] = deque()
        self._news = asyncio.Event()
        self._overrun = False

    def take(self, message: Message) -> None:
        """A callback for a subscription to tail.>."""
        try:
            if parse_event(tailed(message.subject)).type not in self._types:
                return
            event = self._copies.event_of(message)
        except Refused:
            return
        if len(self._queue) >= self._most:
            self._overrun = True
        else:
            self._queue.append(event)
        self._news.set()

    async def events(self) -> AsyncIterator[Event]:
        """The events, in the order in which they came. Raises Unavailable OVERLOADED when some did not fit."""
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._overrun:
                raise Unavailable("OVERLOADED", f"more than {self._most} events waited for their reader")
            self._news.clear()
            await self._news.wait()
