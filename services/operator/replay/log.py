"""replay_log.<worker>.<run> → the run's ledger, record by record; a leader that takes over reads it from the start."""

from __future__ import annotations

import asyncio

import structlog

from penstock.broker import Broker
from penstock.contracts.subjects import replay_log
from penstock.replay.ledger import Ledger
from penstock.replay.outcomes import decode
from penstock.replay.run import Run

_log = structlog.get_logger("penstock.operator.replay")

STREAM = "REPLAY_LOG"


class Log:
    """The outcomes of one run, as far as they were read."""

    def __init__(self, broker: Broker, run: Run) -> None:
        self.ledger = Ledger(run.ranges)
        self._broker = broker
        self._subject = replay_log(run.target, run.id)
        self._next = 1

    async def read(self) -> None:
        """Reads what was recorded since the last time."""
        while page := await self._broker.jetstream.get_many(STREAM, subject=self._subject, sequence=self._next):
            for message in page:
                try:
                    self.ledger.add(decode(message.data))
                except (ValueError, KeyError, TypeError, AttributeError):
                    _log.error("outcomes_unreadable", subject=message.subject, sequence=message.sequence)
                await asyncio.sleep(0)
            self._next = page[-1].sequence + 1
