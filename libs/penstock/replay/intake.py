"""delivery of a run's consumer → handled, or settled at once: what lies behind the range, or belongs to another run.

A consumer has no end: behind the last message of the range it goes on with live traffic. That is acknowledged unseen,
a little at a time, because a message of the range may still come again when another replica dies.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from penstock.consume import ACK, Delivery, nak
from penstock.replay import metrics, origin
from penstock.replay.run import Range

_log = structlog.get_logger("penstock.replay.intake")

TERM = b"+TERM no origin"
END_MOST = 50  # messages asked for at a time behind the end of the range,
END_EVERY = 0.4  # not more often than so many seconds
NOT_MINE = 1.0  # seconds before a message of another run comes again


class RangeIntake:
    """Of a consumer on the original stream."""

    def __init__(self, range: Range, ahead: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """`ahead`: messages that the lane may hold now."""
        self._epoch = range.epoch
        self._last = range.last
        self._ahead = ahead
        self._clock = clock
        self._ended_at = 0.0  # when a message behind the end came, and none of the range since

    def refuse(self, delivery: Delivery) -> bytes | None:
        """The verb that settles a delivery which is not to be handled; None when it is."""
        if delivery.sequence > self._last:
            self._ended_at = self._clock()
            metrics.OUT_OF_RANGE.inc()
            return ACK
        self._ended_at = 0.0
        delivery.epoch = self._epoch
        return None

    def most(self) -> int:
        """Messages that the lane may hold."""
        if self._ended_at:
            return END_MOST if self._clock() - self._ended_at > END_EVERY else 0
        return self._ahead()


class RedriveIntake:
    """Of the worker's consumer on REPLAY, which all runs share. `is_over` knows the runs that have ended."""

    def __init__(self, run: str, ahead: Callable[[], int], is_over: Callable[[str], bool]) -> None:
        self._run = run
        self._ahead = ahead
        self._is_over = is_over

    def refuse(self, delivery: Delivery) -> bytes | None:
        """The verb that settles a delivery which is not to be handled; None when it is, as that of its origin."""
        try:
            run = origin.restore(delivery)
        except ValueError as error:
            _log.error("replay_origin_invalid", sequence=delivery.sequence, reason=str(error))
            return TERM
        if run == self._run:
            return None
        if self._is_over(run):
            metrics.OUT_OF_RANGE.inc()
            return ACK
        return nak(NOT_MINE)

    def most(self) -> int:
        """Messages that the lane may hold."""
        return self._ahead()
