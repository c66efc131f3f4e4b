"""EVENTS_* (headers only) → counted by identity → every 10 s audit.auditor.published.<stream> → acknowledged

The windows of a stream follow each other without a hole. The consumer is the cheap way to see every event; where it
leaves a hole, because another process was given some of it, or a pull broke, the events are read from the stream. So
what the trail says does not depend on who was given which delivery.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

import structlog

from penstock.broker import Broker, StreamInfo
from penstock.consume import ACK, Delivery, Puller, settle_bytes
from penstock.errors import Unavailable
from penstock.services.auditor import metrics
from penstock.services.auditor.journal import Journal, keep_on
from penstock.services.auditor.stream_place import is_same, recorded_until
from penstock.services.auditor.tally import Tally
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.auditor")

CONSUMER = "auditor"
EVERY = 10.0  # seconds of a window
LOOK = 0.5  # seconds
HELD = 20_000  # events counted and not written yet
HELD_BYTES = 64 * 1024 * 1024  # of headers
PULL = 4000
EMPTY_READS = 20  # of a stretch that was delivered, after which it has expired meanwhile


class Publishes:
    """One stream. `unready_reason` says why nothing is written; empty while all is well."""

    def __init__(self, broker: Broker, stream: str, *, every: float = EVERY) -> None:
        self.unready_reason = ""
        self._broker = broker
        self._stream = stream
        self._every = every
        self._journal = Journal(broker, f"published.{stream}", 3 * every)
        self._is_anew = False  # whether the stream was another one at the end of the last turn
        self._behind = metrics.BEHIND.labels(stream)
        self._reset(0)

    def _reset(self, end: int) -> None:
        self._written = end
        self._open = Tally(end + 1, self._now())
        self._closed: deque[Tally] = deque()
        self._seen = 0  # highest sequence delivered
        self._known: list[str] = []  # acknowledge what is delivered again, if it is the same that was recorded
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await keep_on(self._lead, self._journal, stop, self._say)

    def _say(self, unready_reason: str) -> None:
        self.unready_reason = unready_reason

    async def _lead(self, stop: asyncio.Event) -> None:
        """Until `stop`, or until the stream is another one."""
        last = await self._journal.last()
        stream = await self._broker.jetstream.stream_info(self._stream)
        self._reset(recorded_until(stream, last))
        if self._is_anew:  # what was delivered to the last turn would come again much later
            self._seen, self._is_anew = stream.last_seq, False
        puller = Puller(self._broker, self._stream, CONSUMER, self._deliver, self._room, lambda: PULL)
        await puller.start()
        try:
            while not stop.is_set():
                await set_within(self._wake, LOOK)
                self._wake.clear()
                puller.check()
                if (self._known or self._open.next <= self._seen) and not await self._is_still(stream):
                    self._is_anew = True
                    break
                await self._fill()
                if self._open.count and self._now() - self._open.since >= self._every:
                    self._close()
                await self._write()
                puller.refill()
            self._close()
            await self._write()
        finally:
            await puller.stop()

    def _room(self) -> tuple[int, int]:
        return HELD - self._open.count - sum(tally.count for tally in self._closed), HELD_BYTES

    def _deliver(self, delivery: Delivery) -> None:
        sequence, tally = delivery.sequence, self._open
        if sequence == tally.next:
            if not tally.count:
                tally.since = self._now()
            tally.add(delivery.subject, sequence, delivery.stored_at_ns)
            tally.reply = delivery.reply
            if tally.full:
                self._close()
        elif sequence > tally.next:
            self._seen = max(self._seen, sequence)
            self._wake.set()
        elif sequence <= self._written:
            self._known.append(delivery.reply)
            self._wake.set()
        else:
            tally.reply = delivery.reply

    async def _is_still(self, before: StreamInfo) -> bool:
        """Whether the stream is the one that is counted; then what was delivered again is acknowledged."""
        known, self._known = self._known, []
        if not is_same(await self._broker.jetstream.stream_info(self._stream), before, self._written):
            _log.warning("stream_made_anew", stream=self._stream, recorded=self._written)
            return False
        for reply in known:
            self._acknowledge(reply)
        return True

    async def _fill(self) -> None:
        """Reads what lies between what is counted and what was delivered. Deliveries go on meanwhile."""
        empty = 0
        while self._open.next <= self._seen:
            page = await self._broker.jetstream.get_many(self._stream, sequence=self._open.next, most=500)
            if not page:  # a replica that lags behind, or it has expired
                empty += 1
                if empty == EMPTY_READS:
                    self._open.miss(self._seen + 1)
                await asyncio.sleep(LOOK / 2)
            for message in page:
                if message.sequence < self._open.next:
                    continue  # delivered meanwhile
                if message.sequence > self._open.next:
                    self._open.miss(message.sequence)
                self._open.add(message.subject, message.sequence, message.stored_at_ns)
                if self._open.full:
                    self._close()
            metrics.FILLED.inc(len(page))
            await self._write()

    def _close(self) -> None:
        if self._open.next > self._open.first:
            self._closed.append(self._open)
            self._open = Tally(self._open.next, self._now())
            self._wake.set()

    async def _write(self) -> None:
        while self._closed:
            tally = self._closed[0]
            await self._journal.write(tally.record(self._stream))
            self._closed.popleft()
            self._written = tally.next - 1
            metrics.EVENTS.labels(self._stream).inc(tally.count)
            self._behind.set(self._now() - tally.since)
            if tally.reply:
                self._acknowledge(tally.reply)
        self.unready_reason = ""

    def _acknowledge(self, reply: str) -> None:
        with suppress(Unavailable):  # it comes again, and is then known
            self._broker.write(settle_bytes([reply], ACK))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
