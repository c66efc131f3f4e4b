"""outcomes → +ACK · -NAK after a delay · dead letter, then +TERM: message by message, also inside a batch."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.brake import Brake
from penstock.consume.dead_letters import DeadLetters
from penstock.consume.delivery import ACK, IN_PROGRESS, NAK, Delivery, nak, settle_bytes
from penstock.consume.outcome import Done, Drop, Failed, Outcome, Retry
from penstock.consume.waiting_drops import Dropped
from penstock.contracts.subjects import publisher_of
from penstock.errors import PenstockError, Unavailable

_log = structlog.get_logger("penstock.consume.settle")

JITTER = 0.2  # of a retry's delay, so that what failed together does not come back together
REMEMBERED = 50_000  # messages whose retries are known

Retried = tuple[Delivery, Retry]
# Stores what became of deliveries that are about to be acknowledged or terminated. Raises PenstockError.
Record = Callable[[Sequence[tuple[Delivery, Outcome]]], Awaitable[None]]


class Settler:
    """Settles the deliveries of one lane, and remembers which of them a handler had retried.

    `after_failure`: seconds before a message comes again whose handler or dead letter failed. With `record`, nothing is
    settled for good before it is recorded.
    """

    def __init__(
        self,
        broker: Broker,
        stream: str,
        consumer: str,
        dead_letters: DeadLetters,
        brake: Brake,
        after_failure: float,
        record: Record | None = None,
    ) -> None:
        self._broker = broker
        self._dead_letters = dead_letters
        self._brake = brake
        self._after_failure = after_failure
        self._record = record
        self._unrecorded = Retry(after_failure, "what became of it could not be recorded")
        self._no_outcome = Failed(after_failure, "the handler returned no outcome")
        self._where = {"stream": stream, "consumer": consumer}
        self._retries: dict[int, int] = {}  # sequence → retries by the handler
        labels = (stream, consumer)
        self._done = metrics.DELIVERIES.labels(*labels, "done")
        self._retried = metrics.DELIVERIES.labels(*labels, "retried")
        self._dropped = metrics.DELIVERIES.labels(*labels, "dropped")

    async def settle(self, batch: list[Delivery], outcomes: Sequence[Outcome]) -> int:
        """Settles each delivery by its outcome; returns how many of them the sink did not take and will get again."""
        done: list[Delivery] = []
        retries: list[Retried] = []
        drops: list[Dropped] = []
        for delivery, outcome in zip(batch, outcomes, strict=True):
            kind = type(outcome)
            if kind is Done:
                done.append(delivery)
            elif isinstance(outcome, Drop):
                drops.append((delivery, outcome))
            else:
                retries.append((delivery, outcome if isinstance(outcome, Retry) else self._no_outcome))
        if done and self._record is not None:
            pairs = [pair for pair in zip(batch, outcomes, strict=True) if type(pair[1]) is Done]
            if not await self._recorded(self._record, pairs):
                retries += [(delivery, self._unrecorded) for delivery in done]
                done = []
        if done:
            self.write(settle_bytes([delivery.reply for delivery in done], ACK))
            self._done.inc(len(done))
            self._forget(done)
        if drops or self._brake.watching:
            self._watch(batch, drops)
        kept = self._keep(drops)
        if drops and not kept:
            retries += await self._drop(drops)
        self.retry(retries + kept)
        return len(retries)

    def retry(self, retries: Sequence[Retried]) -> None:
        """Has the deliveries come again after their delays."""
        if not retries:
            return
        pieces = []
        for delivery, retry in retries:
            after = retry.after * (1 + random.uniform(0, JITTER))  # noqa: S311 - not a secret
            if not isinstance(retry, Failed):
                self._retries[delivery.sequence] = self._retries.get(delivery.sequence, 0) + 1
            pieces.append(settle_bytes([delivery.reply], nak(after)))
        while len(self._retries) > REMEMBERED:
            del self._retries[next(iter(self._retries))]
        self._retried.inc(len(retries))
        self.write(b"".join(pieces))

    def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """For others, at once: this process will not handle them."""
        self.write(settle_bytes([delivery.reply for delivery in deliveries], NAK))

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Still in flight: their time starts anew."""
        self.write(settle_bytes([delivery.reply for delivery in deliveries], IN_PROGRESS))

    def retries_of(self, delivery: Delivery) -> int:
        """How many of its earlier deliveries ended in a retry here; the others were never settled, or elsewhere."""
        return self._retries.get(delivery.sequence, 0)

    def write(self, data: bytes) -> None:
        """Sends verbs. What cannot be sent is not settled, and the consumer delivers it again."""
        if data:
            try:
                self._broker.write(data)
            except Unavailable as error:
                _log.warning("delivery_settle_failed", **self._where, reason=error.detail)

    async def _drop(self, drops: list[Dropped]) -> list[Retried]:
        """Dead-letters, then terminates; returns what could not be. What waits for a range is settled when that is
        stored; only what took a process down does not wait, as it is noted no longer."""
        at_once = any(drop.code == "WORKER_CRASHED" for _, drop in drops)
        are_stored = await self._dead_letters.store(drops, None if at_once else self.settle_waiting)
        parked = [dropped for dropped, stored in zip(drops, are_stored, strict=True) if stored]
        failed = [dropped for dropped, stored in zip(drops, are_stored, strict=True) if stored is False]
        return [*await self._park(parked), *self._not_stored(failed)]

    async def settle_waiting(self, drops: Sequence[Dropped], is_stored: bool) -> None:
        """Settles what waited for a range, by whether that is stored."""
        self.retry(await self._park(drops) if is_stored else self._not_stored(drops))

    async def _park(self, parked: Sequence[Dropped]) -> list[Retried]:
        """Terminates those whose dead letters are stored; returns what could not be."""
        if parked and self._record is not None and not await self._recorded(self._record, parked):
            return [(delivery, self._unrecorded) for delivery, _ in parked]
        for delivery, drop in parked:
            self.write(settle_bytes([delivery.reply], f"+TERM {drop.code}".encode()))
            self._dropped.inc()
            self._forget([delivery])
        return []

    def _not_stored(self, drops: Sequence[Dropped]) -> list[Retried]:
        again = Retry(self._after_failure, "its dead letter could not be stored")
        return [(delivery, again) for delivery, _ in drops]

    async def _recorded(self, record: Record, settled: Sequence[tuple[Delivery, Outcome]]) -> bool:
        try:
            await record(settled)
        except PenstockError as error:
            _log.warning("outcomes_record_failed", **self._where, messages=len(settled), reason=str(error))
            return False
        return True

    def _keep(self, drops: list[Dropped]) -> list[Retried]:
        """All of them again, while it is not certain that the fault is in the messages."""
        after = self._brake.keep_for if drops else 0.0
        return [(delivery, Retry(after, "kept by the brake")) for delivery, _ in drops] if after else []

    def _watch(self, batch: list[Delivery], drops: list[Dropped]) -> None:
        codes = {id(delivery): drop.code for delivery, drop in drops}
        outcomes = ((publisher_of(delivery.subject), codes.get(id(delivery), "")) for delivery in batch)
        if self._brake.count(batch[0].stream, outcomes):
            _log.error("brake_closed", **self._where, reason=self._brake.reason())

    def _forget(self, settled: list[Delivery]) -> None:
        if self._retries:
            for delivery in settled:
                self._retries.pop(delivery.sequence, None)
