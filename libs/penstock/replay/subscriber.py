"""consumer REPLAY/<identity> → the events that an operator replays to this program, each settled by it, once.

confirm  ack                          confirmed
skip     outcome record, then ack     skipped: newer data is there
park     outcome record, then ack     parked: it cannot be processed
again    nak                          comes again
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from penstock.broker import Broker
from penstock.consume import ACK, Delivery, Puller, nak, settle_bytes
from penstock.contracts import subjects
from penstock.errors import Refused
from penstock.events import Checker, Event
from penstock.replay import origin
from penstock.replay.outcomes import Kind, encode

_log = structlog.get_logger("penstock.replay.subscriber")

CHECK_SECONDS = 0.5  # between looks for silent pulls
HELD_BYTES = 16 << 20  # of messages that wait for the program


class Replayed:
    """One event of a replay. It comes again when the program has not settled it within the consumer's ack_wait."""

    def __init__(self, subscriber: Subscriber, delivery: Delivery, event: Event, run: str) -> None:
        self.event = event  # with the stream, sequence and time of its original
        self.run = run
        self.deliveries = delivery.delivered  # of this message so far, this one included
        self._subscriber = subscriber
        self._delivery = delivery

    def confirm(self) -> None:
        """It is processed."""
        self._subscriber.settle(self._delivery, ACK)

    async def skip(self) -> None:
        """It is older than what the program has. Raises Unavailable when that could not be recorded."""
        await self._subscriber.record(self.run, self._delivery, "skipped")

    async def park(self) -> None:
        """It can never be processed. Raises Unavailable when that could not be recorded."""
        await self._subscriber.record(self.run, self._delivery, "parked")

    def again(self, after: float) -> None:
        """It cannot be processed now, and comes again after so many seconds."""
        self._subscriber.settle(self._delivery, nak(after))


class Subscriber:
    """Receives what is replayed to one identity; up to `most` events are in hand at a time."""

    def __init__(self, broker: Broker, checker: Checker, most: int) -> None:
        self._broker = broker
        self._checker = checker
        self._most = most
        self._queue: asyncio.Queue[tuple[int, Delivery]] = asyncio.Queue()
        self._queued: set[int] = set()  # their sequences on REPLAY
        self._in_hand: set[str] = set()  # reply addresses that are not settled
        self._puller = Puller(broker, origin.STREAM_NAME, broker.identity, self._take, self._room, lambda: self._most)

    async def start(self) -> None:
        """Fetches."""
        await self._puller.start()

    async def stop(self) -> None:
        """Fetches no more, and gives back what is not settled."""
        await self._puller.stop()
        self._broker.write(settle_bytes(list(self._in_hand), nak(0)))
        self._in_hand.clear()

    async def events(self) -> AsyncIterator[Replayed]:
        """The events, for as long as they are read."""
        while True:
            delivery = None
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    sequence, delivery = await self._queue.get()
                    self._queued.discard(sequence)
            if delivery is None:
                self._puller.check()
            elif (replayed := await self._replayed(delivery)) is not None:
                yield replayed

    def settle(self, delivery: Delivery, verb: bytes) -> None:
        """Sends the verb."""
        self._in_hand.discard(delivery.reply)
        self._broker.write(settle_bytes([delivery.reply], verb))
        self._puller.refill()

    async def record(self, run: str, delivery: Delivery, kind: Kind) -> None:
        """Stores the outcome and acknowledges."""
        record = encode({delivery.stream: {kind: [delivery.sequence]}})
        await self._broker.publish(subjects.replay_log(self._broker.identity, run), record)
        self.settle(delivery, ACK)

    async def _replayed(self, delivery: Delivery) -> Replayed | None:
        """None: it is no event, and settled as such."""
        try:
            run = origin.restore(delivery)
        except ValueError as error:
            _log.error("replay_origin_invalid", sequence=delivery.sequence, reason=str(error))
            self.settle(delivery, ACK)
            return None
        try:
            return Replayed(self, delivery, self._checker.delivered(delivery), run)
        except Refused as error:
            _log.warning("replayed_event_refused", stream=delivery.stream, sequence=delivery.sequence, code=error.code)
            await self.record(run, delivery, "parked")
            return None

    def _take(self, delivery: Delivery) -> None:
        if delivery.sequence in self._queued:
            return  # it has waited for a slow program for longer than ack_wait; that one settles both
        self._queued.add(delivery.sequence)
        self._in_hand.add(delivery.reply)
        self._queue.put_nowait((delivery.sequence, delivery))

    def _room(self) -> tuple[int, int]:
        return self._most - len(self._in_hand), HELD_BYTES


@asynccontextmanager
async def replayed_to(broker: Broker, checker: Checker, most: int) -> AsyncIterator[AsyncIterator[Replayed]]:
    """What is replayed to the identity of the connection."""
    subscriber = Subscriber(broker, checker, most)
    await subscriber.start()
    try:
        yield subscriber.events()
    finally:
        await subscriber.stop()
