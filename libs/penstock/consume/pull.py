"""consumer → pull requests in turn, two overlapping → one callback per delivery.

While one pull is being filled the next already waits at the server, so no round trip stands between them. A pull ends
when it is filled or expires, and the server says so; one that falls silent is given up, and after a new connection all
are sent again, because a restarted server has forgotten them.

To stop is to send no more pulls and wait for the end of those under way, a second at most. Unsubscribing earlier would
lose messages: the server hands deliveries to a queue of its own before it sends them, and what it finds there for an
address without a subscriber comes again only after the consumer's ack_wait. The end of a pull goes through the same
queue, so whatever was delivered before it has arrived by then.

An event without a single byte cuts off its pull: the server takes an empty answer across accounts for the last one,
forgets the way back, and goes on delivering. What it sends then comes again only after the consumer's ack_wait. So
the pull is given up at once, and for a while messages are pulled one by one, where nothing can be lost behind another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import orjson
import structlog

from penstock.broker import Broker, Subscription, publication, status_of
from penstock.consume import metrics
from penstock.consume.delivery import Delivery
from penstock.contracts import nats_subjects
from penstock.errors import Unavailable

_log = structlog.get_logger("penstock.consume.pull")

EXPIRES = 1.0  # seconds that a pull waits for messages at the server; short, because a stop waits for its end
SILENCE = EXPIRES + 1.5  # seconds without a sign of life, after which a pull is given up
SLOTS = 2
LEAST_BYTES = 1024 * 1024  # of a pull; more than the largest message, or it could never be delivered
FLUSH_SECONDS = 1.0  # that a stop waits for the server to read an unsubscribe
CAREFUL = 60.0  # seconds of single pulls after an empty message; longer than the ack_wait, as others may come again
AFTER_ERROR = 1.0  # seconds before the next pull when the server refused one

_ORDINARY = ("Batch Completed", "Message Size Exceeds MaxBytes")  # 409s that end a pull in the ordinary way


class _Slot:
    """A place for one pull at a time. Each pull has an address of its own, so that the last word about an earlier one
    (the server also says when a pull is complete) does not end the present one."""

    __slots__ = ("address", "alive", "bytes", "inbox", "number", "remaining", "subscription")

    def __init__(self, inbox: str) -> None:
        self.inbox = inbox + "."
        self.number = 0
        self.address = ""
        self.remaining = 0  # messages still to come of the pull under way
        self.bytes = 0
        self.alive = 0.0
        self.subscription: Subscription | None = None


class Puller:
    """Pulls at most `most()` messages at a time. `room` gives the messages and bytes that the owner still has room
    for."""

    def __init__(
        self,
        broker: Broker,
        stream: str,
        consumer: str,
        deliver: Callable[[Delivery], None],
        room: Callable[[], tuple[int, int]],
        most: Callable[[], int],
    ) -> None:
        self.paused = False
        self.answered_at = time.monotonic()  # when the server last gave a sign of life
        self._broker = broker
        self._stream = stream
        self._consumer = consumer
        self._deliver = deliver
        self._room = room
        self._most = most
        self._subject = nats_subjects.pull(stream, consumer)
        self._prefix = nats_subjects.ack_prefix(stream, consumer)
        self._slots = [_Slot(broker.inbox()) for _ in range(SLOTS)]
        self._not_before = 0.0
        self._careful_until = 0.0
        self._dry = False
        self._ended = asyncio.Event()  # set when no pull is under way, or none can be
        self._stopped = False
        self._refused = metrics.DELIVERIES_REFUSED.labels(stream, consumer)
        broker.on_reconnect(self.renew)
        broker.on_disconnect(self._ended.set)
        broker.before_hand_over(self.run_dry)

    @property
    def outstanding(self) -> int:
        """Messages requested that have not arrived yet."""
        return sum(slot.remaining for slot in self._slots)

    @property
    def inboxes(self) -> list[str]:
        """The addresses of the pulls under way."""
        return [slot.address for slot in self._slots if slot.remaining > 0]

    async def start(self) -> None:
        """Subscribes and sends the first pulls."""
        self.renew()

    async def run_dry(self) -> None:
        """Sends no more pulls until `renew`; returns when those under way have ended, or the server has fallen
        silent."""
        self._dry = True
        if self.outstanding and self._broker.connected:
            self._ended.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await self._ended.wait()

    async def stop(self) -> None:
        """Pulls no more. What is on its way is still delivered."""
        await self.run_dry()
        self._stopped = True
        self._broker.forget_callbacks(self.renew, self.run_dry)
        subscriptions = [slot.subscription for slot in self._slots if slot.subscription is not None]
        for subscription in subscriptions:
            subscription.leave()
        if self.outstanding:  # the server has fallen silent
            _log.warning("pull_end_missing", stream=self._stream, consumer=self._consumer, messages=self.outstanding)
            with suppress(Unavailable):
                await self._broker.flush(FLUSH_SECONDS)
        for subscription in subscriptions:
            await subscription.stop()

    def renew(self) -> None:
        """Sends new pulls from new inboxes; those of a connection that is gone are forgotten."""
        if self._stopped:
            return
        for slot in self._slots:
            self._move(slot)
        self._dry = False
        self._not_before = 0.0
        self.answered_at = time.monotonic()
        self.refill()

    def resume(self) -> None:
        """Pulls again after a pause; the server has not been asked for anything meanwhile."""
        self.paused = False
        self.answered_at = time.monotonic()
        self.refill()

    def check(self) -> None:
        """To be called twice a second: gives up silent pulls."""
        now = time.monotonic()
        for slot in self._slots:
            if slot.remaining > 0 and now - slot.alive > SILENCE and self._broker.connected:
                self._move(slot)
                metrics.PULLS_RENEWED.labels(self._stream, self._consumer).inc()
        self.refill()

    def _move(self, slot: _Slot) -> None:
        """Subscribes to a new inbox, with no pull under way; the server drops a pull whose inbox has no subscriber."""
        if slot.subscription is not None:
            slot.subscription.end()
        slot.remaining = 0
        slot.inbox = self._broker.inbox() + "."
        slot.subscription = self._broker.listen(f"{slot.inbox}*", self._receiver(slot), lasting=False)

    def refill(self) -> None:
        """Sends a pull from every idle slot for which there is room."""
        if self._stopped or self._dry or self.paused or not self._broker.connected:
            self._note_end()
            return
        now = time.monotonic()
        if now < self._not_before:
            return
        for slot in self._slots:
            if slot.remaining > 0:
                continue
            messages, size = self._room()
            messages -= self.outstanding
            size -= sum(other.bytes for other in self._slots if other.remaining > 0)
            most = 1 if now < self._careful_until else self._most()
            if messages <= 0 or messages < most // 2 or size < LEAST_BYTES:
                return  # small pulls cost as much as large ones: wait until there is room for half of one
            slot.remaining = min(messages, most)
            slot.bytes = max(size // 2, LEAST_BYTES)
            slot.alive = now
            slot.number += 1
            slot.address = f"{slot.inbox}{slot.number}"
            body = {
                "batch": slot.remaining,
                "max_bytes": slot.bytes,
                "expires": int(EXPIRES * 1e9),
            }
            try:
                self._broker.write(publication(self._subject, orjson.dumps(body), slot.address))
            except Unavailable:
                slot.remaining = 0

    def _note_end(self) -> None:
        if not self.outstanding:
            self._ended.set()

    def _receiver(self, slot: _Slot) -> Callable[[str, str, bytes | None, bytes], None]:
        prefix, skip = self._prefix, len(self._prefix)
        stream, consumer, deliver, inbox = self._stream, self._consumer, self._deliver, slot.inbox
        clock = time.monotonic

        def receive(subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
            # A delivery has the subject of the stored message. What has the inbox's own is either the server's status
            # of a pull, or a message of another client.
            if subject.startswith(inbox):
                status = status_of(raw_headers)
                if not status or reply or data:
                    self._refuse(subject, reply)
                elif subject == slot.address:
                    self._status(slot, status, raw_headers)
                return
            if not reply.startswith(prefix):
                self._refuse(subject, reply)
                return
            try:
                delivery = Delivery(subject, reply, raw_headers, data, stream, consumer, reply[skip:].split("."))
            except ValueError:
                self._refuse(subject, reply)
                return
            slot.alive = self.answered_at = clock()
            if slot.remaining > 0:
                slot.remaining -= 1
            deliver(delivery)
            if not data and raw_headers is None and not self._stopped:
                self._careful_until = clock() + CAREFUL
                if slot.remaining > 0:
                    self._move(slot)
            if slot.remaining == 0:
                self.refill()

        return receive

    def _refuse(self, subject: str, reply: str) -> None:
        self._refused.inc()
        _log.error("delivery_refused", stream=self._stream, consumer=self._consumer, subject=subject, reply=reply)

    def _status(self, slot: _Slot, status: int, raw_headers: bytes | None) -> None:
        slot.alive = self.answered_at = time.monotonic()
        if status == 100:
            return
        slot.remaining = 0
        self._note_end()
        reason = (raw_headers or b"").split(b"\r\n")[0][13:].decode("utf-8", "replace")
        # Anything but the ordinary ends is a fault of the consumer: pulling again at once would be a busy loop.
        if status not in (404, 408) and reason not in _ORDINARY:
            self._not_before = time.monotonic() + AFTER_ERROR
            self.answered_at = 0.0
            _log.warning("pull_refused", stream=self._stream, consumer=self._consumer, status=status, reason=reason)
            asyncio.get_running_loop().call_later(AFTER_ERROR, self.refill)
        else:
            self.refill()
