"""record → audit.auditor.<what>, only if the last record there is the one that this process knows.

The last record says how far it goes, so it is the checkpoint, and there is no other. Two processes cannot both write
the same stretch: the stream takes one of them, and the other learns it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from penstock.audit import record
from penstock.audit.hash_chain import STREAM
from penstock.broker import EXPECTED_LAST, Broker, StoredMessage, if_there
from penstock.contracts import subjects
from penstock.errors import PenstockError
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.auditor")

AFTER_ERROR = 1.0  # seconds
STAND_BY = 30.0  # seconds


class Journal:
    """The records under one subject. `stand_by`: seconds without a record of another process, before this one tries."""

    def __init__(self, broker: Broker, what: str, stand_by: float = STAND_BY) -> None:
        self.stand_by = stand_by
        self.subject = subjects.audit(broker.identity, what)
        self._broker = broker
        self._last = 0  # sequence of the last record, on AUDIT

    async def last(self) -> StoredMessage | None:
        """The last record. What is written next must follow it. Raises Unavailable."""
        message = await if_there(self._broker.jetstream.get(STREAM, last_by_subject=self.subject))
        self._last = message.sequence if message is not None else 0
        return message

    async def write(self, body: dict[str, Any]) -> None:
        """Adds a record. Raises Refused CONFLICT when another process was first, Unavailable when it is not certain
        that the record is stored; then `last` tells."""
        await self.write_raw(record.encode(None, self._broker.identity, **body))

    async def write_raw(self, payload: bytes) -> None:
        """The same, of bytes."""
        headers = {EXPECTED_LAST: str(self._last)}
        self._last = (await self._broker.publish(self.subject, payload, headers)).sequence


async def keep_on(
    work: Callable[[asyncio.Event], Awaitable[None]],
    journal: Journal,
    stop: asyncio.Event,
    unready_reason: Callable[[str], None],
) -> None:
    """Runs `work` until `stop`, again after each error. Where another process does the same work, this one waits until
    the other has been silent for a while."""
    while not stop.is_set():
        try:
            await work(stop)
        except PenstockError as error:
            if error.code == "CONFLICT":
                _log.info("standing_by", subject=journal.subject)
                unready_reason("")
                await _silence(journal, stop)
            else:
                unready_reason(f"{journal.subject}: {error.code}: {error.detail}")
                _log.warning("record_write_failed", subject=journal.subject, code=error.code, reason=error.detail)
                await set_within(stop, AFTER_ERROR)


async def _silence(journal: Journal, stop: asyncio.Event) -> None:
    seen = -1
    while not stop.is_set():
        with suppress(PenstockError):
            message = await journal.last()
            now = 0 if message is None else message.sequence
            if now == seen:
                return
            seen = now
        await set_within(stop, journal.stand_by)
