"""dropped deliveries → dlq.<worker>.<original subject>, each with its payload, reason and origin.

A publisher whose messages are refused in masses gets as many full dead letters as its share allows; the rest is stored
as ranges (publisher, code, first and last sequence, count). A range is a dead letter too: the messages are still on
their stream, and a replay of the range finds them. Ranges are limited as well, so the messages of several batches wait
for one. Only what is stored in one of the two ways may be terminated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import orjson
import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.dead_letter_shares import DEFAULT, MINUTE, DeadLetterShares, Share
from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Drop
from penstock.consume.waiting_drops import Dropped, Kind, Later, WaitingDrops
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
from penstock.telemetry.traces import TRACEPARENT

_log = structlog.get_logger("penstock.consume.dead_letters")

REASON_BYTES = 1024
RANGE_REASON_BYTES = 256  # of a range; the full dead letters before it have the whole reason
HEADER_BYTES = 512  # of a dead letter, besides its reason and subject
WHEN_FULL = (
    "raise max_bytes of DLQ in contracts/streams.yaml and run `penstock provision`; `penstock dlq stats` and"
    " `penstock dlq list` say what fills it"
)
IN_FLIGHT = 64
SHARE_USED = "DEAD_LETTER_SHARE_USED"


class DeadLetters:
    """The dead letters of one worker. One for a process, so that the limits count all its lanes."""

    def __init__(
        self,
        broker: Broker,
        worker: str,
        *,
        share: Share = DEFAULT,
        headers: Mapping[str, str] = {},
        carried: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`share` is that of each publisher. `headers` stand in each dead letter, too, and of its message's headers
        those that `carried` names."""
        self.worker = worker
        self.failing: str = ""  # why the last one was not stored; empty while all is well
        self.waiting = WaitingDrops(carried)
        self._broker = broker
        self._own_headers = headers
        self._carried = carried
        self._shares = DeadLetterShares(share, clock)
        self._limited: set[str] = set()  # publishers that were over their share at the last look

    def note(self) -> str:
        """Who has used up its share within the last minute, in a sentence; empty where nobody has."""
        publishers = self._shares.used_up(MINUTE)
        if not publishers:
            return ""
        return (
            f"{SHARE_USED}: {', '.join(publishers)} used up the share of full dead letters of the"
            f" {self.worker}; what fails is stored in ranges. `penstock dlq list --worker {self.worker}` says why"
        )

    async def store(self, dropped: Sequence[Dropped], later: Later | None = None) -> list[bool | None]:
        """Stores a dead letter for each; says which are stored and may be terminated. None: it waits for a range, and
        `later` settles it; without `later`, all are stored now. Never raises."""
        stored: list[bool | None] = [None] * len(dropped)
        full: list[int] = []
        ranges: dict[Kind, list[int]] = {}
        for index, (delivery, drop) in enumerate(dropped):
            publisher = publisher_of(delivery.subject)
            if self._shares.full(publisher, _full_size(delivery, drop)):
                full.append(index)
                continue
            metrics.DEAD_LETTER_SHARE_EXHAUSTED.labels(self._shares.counted_as(publisher)).inc()
            if later is None:
                ranges.setdefault(Kind(publisher, drop.code, delivery.stream), []).append(index)
            else:
                self.waiting.add(delivery, drop, later)
        room = asyncio.Semaphore(IN_FLIGHT)
        for index, done in zip(
            full, await asyncio.gather(*(self._store_full(*dropped[index], room) for index in full)), strict=True
        ):
            stored[index] = done
        for kind, members in ranges.items():
            done = await self._store_range(kind, [dropped[index] for index in members])
            for index in members:
                stored[index] = done
        await self.store_due()
        return stored

    async def store_due(self) -> None:
        """Stores ranges for those that wait, as far as the shares of their publishers allow, and for more than may
        wait. Never raises."""
        for kind in self.waiting.kinds():
            if self.waiting.has(kind) and self._shares.range(kind.publisher):
                await self._store_waiting(kind)
        while (too_many := self.waiting.beyond(self._shares.share.waiting)) is not None:
            self._shares.range_stored(too_many.publisher)
            await self._store_waiting(too_many)
        limited = set(self._shares.used_up(MINUTE))
        for publisher in limited - self._limited:
            _log.error("dead_letters_limited", code=SHARE_USED, publisher=publisher, worker=self.worker)
        self._limited = limited

    async def store_waiting(self) -> None:
        """Stores ranges for all that wait, whatever the shares say: the lanes stop. Never raises."""
        for kind in self.waiting.kinds():
            if self.waiting.has(kind):
                self._shares.range_stored(kind.publisher)
                await self._store_waiting(kind)

    async def _store_waiting(self, kind: Kind) -> None:
        members = self.waiting.take(kind)
        try:
            stored = await self._store_range(kind, [dropped for dropped, _ in members])
            while members:  # those of a lane that stops meanwhile are given back, and no longer here
                later = members[0][1]
                await later([dropped for dropped, each in members if each == later], stored)
                self.waiting.settled(members, later)
        finally:
            self.waiting.put_back(kind, members)

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

    async def _store_range(self, kind: Kind, members: Sequence[Dropped]) -> bool:
        sequences = [delivery.sequence for delivery, _ in members]
        sample, drop = min(members, key=lambda dropped: dropped[0].sequence)
        drop = replace(drop, reason=_cut(drop.reason, RANGE_REASON_BYTES))
        body = {
            "publisher": kind.publisher,
            "code": kind.code,
            "stream": kind.stream,
            "from": min(sequences),
            "to": max(sequences),
            "count": len(sequences),
            "subject": sample.subject,
            "reason": drop.reason,
        }
        headers = self._headers(drop, sample, "range")
        headers[COUNT] = str(len(members))
        return await self._publish(sample.subject, orjson.dumps(body), headers, kind.code)

    def _headers(self, drop: Drop, delivery: Delivery, form: str) -> dict[str, str]:
        carried = {name: delivery.headers[name] for name in self._carried if name in delivery.headers}
        return {
            **self._own_headers,
            **carried,
            FORM: form,
            CODE: drop.code,
            REASON: _cut(drop.reason, REASON_BYTES),
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


def _full_size(delivery: Delivery, drop: Drop) -> int:
    """Bytes of a full dead letter, about."""
    return len(delivery.data) + len(delivery.subject) + min(len(drop.reason), REASON_BYTES) + HEADER_BYTES


def _cut(reason: str, most: int) -> str:
    """At most so many bytes, to a whole character."""
    return reason.encode()[:most].decode("utf-8", "ignore")
