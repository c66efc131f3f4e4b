"""replay_log.<worker>.<run> → the run's ledger, record by record; a leader that takes over reads it from the start."""

from __future__ import annotations

import asyncio
import time

import structlog

from penstock.broker import Broker
from penstock.contracts.subjects import replay_log
from penstock.replay.ledger import Ledger
from penstock.replay.outcomes import decode
from penstock.replay.run import Run

_log = structlog.get_logger("penstock.operator.replay")

STREAM = "REPLAY_LOG"
ALL = float("inf")  # seconds


class Log:
    """The outcomes of one run, as far as they were read."""

    def __init__(self, broker: Broker, run: Run) -> None:
        self.ledger = Ledger(run.ranges)
        self._broker = broker
        # The target's, and the operator's own: what it could not feed.
        self._next = {replay_log(each, run.id): 1 for each in (run.target, broker.identity)}

    async def read(self, seconds: float = ALL) -> None:
        """Reads what was recorded since the last time, for so long at most; the rest is for the next call."""
        until = time.monotonic() + seconds
        self.ledger.complete = all([await self._read(subject, until) for subject in self._next])

    async def _read(self, subject: str, until: float) -> bool:
        while page := await self._broker.jetstream.get_many(STREAM, subject=subject, sequence=self._next[subject]):
            for message in page:
                try:
                    self.ledger.add(decode(message.data))
                except (ValueError, KeyError, TypeError, AttributeError):
                    _log.error("outcomes_unreadable", subject=message.subject, sequence=message.sequence)
                await asyncio.sleep(0)
            self._next[subject] = page[-1].sequence + 1
            if time.monotonic() > until:
                return False
        return True
