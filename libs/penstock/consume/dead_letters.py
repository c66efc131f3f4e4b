"""dropped deliveries → dlq.<worker>.<original subject>, each with its payload, reason and origin.

A publisher whose messages are refused in masses gets `full_per_minute` full dead letters a minute; the rest is
stored as ranges (publisher, code, first and last sequence, count), one for each batch. A range is a dead letter too:
the messages are still on their stream, and a replay of the range finds them. Only what is stored in one of the two ways
may be terminated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import orjson
import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Drop
from penstock.contracts import subjects
from penstock.contracts.subjects import publisher_of
from penstock.errors import PenstockError
from penstock.events.dead_letter import (
    CODE,
    COUNT,
    DELIVERED,
    FORM,
    KEY,
    REASON,
    SEQUENCE,
    STORED_AT,
    STREAM,
    WORKER,
)

_log = structlog.get_logger("penstock.consume.dead_letters")

TRACEPARENT = "traceparent"

REASON_BYTES = 1024
WHEN_FULL = (
    "raise max_bytes of DLQ in contracts/streams.yaml and run `penstock provision`; `penstock dlq stats` and"
    " `penstock dlq list` say what fills it"
)
IN_FLIGHT = 64


# A delivery that can never succeed, and why
Dropped = tuple[Delivery, Drop]


class DeadLetters:
    """The dead letters of one worker. One for a process, so that the limit counts all its lanes."""

    def __init__(
        self,
        broker: Broker,
        worker: str,
        *,
        full_per_minute: int = 60,
        headers: Mapping[str, str] = {},
        carried: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`headers` stand in each dead letter, too, and of its message's headers those that `carried` names."""
        self.worker = worker
        self.failing: str = ""  # why the last one was not stored; empty while all is well
        self._broker = broker
        self._full_per_minute = full_per_minute
        self._own_headers = headers
        self._carried = carried
        self._clock = clock
        self._minute = clock()
        self._full: dict[str, int] = {}

    async def store(self, dropped: Sequence[Dropped]) -> list[bool]:
        """Stores a dead letter for each; says which of them are stored and may be terminated. Never raises."""
        stored = [False] * len(dropped)
        full: list[int] = []
        ranges: dict[tuple[str, str], list[int]] = {}
        for index, (delivery, drop) in enumerate(dropped):
            if self._may_be_full(delivery):
                full.append(index)
            else:
                ranges.setdefault((publisher_of(delivery.subject), drop.code), []).append(index)
        room = asyncio.Semaphore(IN_FLIGHT)
        for index, done in zip(
            full, await asyncio.gather(*(self._store_full(*dropped[index], room) for index in full)), strict=True
        ):
            stored[index] = done
        for (publisher, code), members in ranges.items():
            done = await self._store_range(publisher, code, [dropped[index] for index in members])
            for index in members:
                stored[index] = done
        return stored

    def _may_be_full(self, delivery: Delivery) -> bool:
        now = self._clock()
        if now - self._minute >= 60.0:
            self._minute = now
            self._full.clear()
        publisher = publisher_of(delivery.subject)
        count = self._full.get(publisher, 0) + 1
        self._full[publisher] = count
        if count == self._full_per_minute + 1:
            _log.error("dead_letters_limited", publisher=publisher, worker=self.worker, stream=delivery.stream)
        return count <= self._full_per_minute

    async def _store_full(self, delivery: Delivery, drop: Drop, room: asyncio.Semaphore) -> bool:
        headers = self._headers(drop, delivery, "full")
        headers[SEQUENCE] = str(delivery.sequence)
        headers[STORED_AT] = str(delivery.stored_at_ns)
        headers[DELIVERED] = str(delivery.delivered)
        if drop.key:
            headers[KEY] = drop.key
        traceparent = delivery.headers.get(TRACEPARENT)
        if traceparent:
            headers[TRACEPARENT] = traceparent[:64]
        async with room:
            return await self._publish(delivery.subject, delivery.data, headers, drop.code)

    async def _store_range(self, publisher: str, code: str, members: list[Dropped]) -> bool:
        sequences = [delivery.sequence for delivery, _ in members]
        sample, drop = members[0]
        body = {
            "publisher": publisher,
            "code": code,
            "stream": sample.stream,
            "from": min(sequences),
            "to": max(sequences),
            "count": len(sequences),
            "subject": sample.subject,
            "reason": drop.reason[:REASON_BYTES],
        }
        headers = self._headers(drop, sample, "range")
        headers[COUNT] = str(len(members))
        return await self._publish(sample.subject, orjson.dumps(body), headers, code)

    def _headers(self, drop: Drop, delivery: Delivery, form: str) -> dict[str, str]:
        carried = {name: delivery.headers[name] for name in self._carried if name in delivery.headers}
        return {
            **self._own_headers,
            **carried,
            FORM: form,
            CODE: drop.code,
            REASON: drop.reason.encode()[:REASON_BYTES].decode("utf-8", "ignore"),
            WORKER: self.worker,
            STREAM: delivery.stream,
        }

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str], code: str) -> bool:
        try:
            await self._broker.publish(subjects.dead_letter(self.worker, subject), data, headers)
        except PenstockError as error:
            self.failing = f"{error.code}: {error.detail}"
            if error.code == "STREAM_FULL":
                self.failing += f"; {WHEN_FULL}"
            metrics.DEAD_LETTERS_FAILED.inc()
            _log.error("dead_letter_store_failed", worker=self.worker, code=code, reason=self.failing)
            return False
        self.failing = ""
        metrics.DEAD_LETTERS.labels(code, headers[FORM]).inc()
        return True
