"""The server's numbers of a consumer, looked up now and then: what is left to deliver, and how old it is."""

from __future__ import annotations

import time

import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.delivery import Delivery
from penstock.errors import PenstockError

_log = structlog.get_logger("penstock.consume.backlog")


class Backlog:
    """How far one consumer is behind its stream."""

    def __init__(self, broker: Broker, stream: str, consumer: str, *, is_live: bool = True) -> None:
        """Where it is not live, messages are old by intent: their age is no metric."""
        self.ack_wait = 30.0  # seconds; the consumer's, once it was looked up
        self.last: Delivery | None = None  # the newest delivery
        self._broker = broker
        self._is_live = is_live
        self._stream = stream
        self._consumer = consumer
        self._looked_up: tuple[Delivery | None, int] = (None, 0)  # the newest delivery then, and the number
        self._max_age = 0.0  # seconds for which the stream keeps a message
        self._pending = metrics.LANE_PENDING.labels(stream, consumer)
        self._behind = metrics.LANE_BEHIND_SECONDS.labels(stream, consumer)

    async def look(self, held: int) -> None:
        """Looks the numbers up; where they cannot be had, the last ones stay. `held`: messages in the lane."""
        try:
            info = await self._broker.jetstream.consumer_info(self._stream, self._consumer)
            if not self._max_age:
                stream = await self._broker.jetstream.stream_info(self._stream)
                self._max_age = stream.config.get("max_age", 0) / 1e9
        except PenstockError as error:
            _log.warning("consumer_info_failed", stream=self._stream, consumer=self._consumer, reason=error.detail)
            return
        self.ack_wait = info.ack_wait
        self._looked_up = (self.last, info.pending)
        self._pending.set(info.pending)
        if self._is_live:
            self._behind.set(self.behind(held))

    def close(self) -> None:
        """Nobody works on the consumer here any more, and its numbers are no longer looked up."""
        self._pending.set(0)
        self._behind.set(0)

    @property
    def pending(self) -> int:
        """Messages that the consumer had left, as of the newest delivery or the last look, whichever is later."""
        newest, pending = self._looked_up
        return pending if self.last is None or self.last is newest else self.last.pending

    def behind(self, held: int) -> float:
        """Age in seconds of the newest delivery, as long as it or others wait to be handled. What was left at the
        newest delivery may have gone to other replicas since: until the next look it counts as waiting."""
        last = self.last
        if last is None or not (self.pending or held):
            return 0.0
        return max(0.0, time.time() - last.stored_at_ns / 1e9)

    def is_late(self, held: int) -> bool:
        """Whether the lane is so far behind that the stream will soon remove what it has not handled."""
        return 0 < self._max_age < 2 * self.behind(held)
