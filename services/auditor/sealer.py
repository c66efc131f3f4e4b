"""AUDIT → chain of hashes → every 10 s, or 1000 records, audit.auditor.seal: its head, signed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog

from penstock.audit import hash_chain
from penstock.audit.hash_chain import MARK_BYTES, STREAM, Head
from penstock.audit.seal import Signer, is_genuine, read_seal, seal_keys
from penstock.broker import Broker
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.services.auditor import metrics
from penstock.services.auditor.journal import Journal, keep_on
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.auditor")

EVERY = 10.0  # seconds
MOST = 1000  # records of a seal


class Sealer:
    """Goes on from the last seal, whoever wrote it. `unready_reason` says why nothing is sealed."""

    def __init__(self, broker: Broker, journal: Journal, signer: Signer, keys: Path, *, every: float = EVERY) -> None:
        self.unready_reason = ""
        self._broker = broker
        self._journal = journal
        self._signer = signer
        self._keys = keys
        self._every = every

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await keep_on(self._lead, self._journal, stop, self._say)

    def _say(self, unready_reason: str) -> None:
        self.unready_reason = unready_reason

    async def _lead(self, stop: asyncio.Event) -> None:
        head = await self._resume()
        while not stop.is_set():
            head, more = await self._seal(head)
            self.unready_reason = ""
            if not more:
                await set_within(stop, self._every)

    async def _resume(self) -> Head | None:
        """The head of the last seal; None where nothing was ever sealed, or all that was has expired."""
        message = await self._journal.last()
        if message is None:
            return None
        seal = read_seal(message.data)
        if not is_genuine(seal, seal_keys(self._keys)):
            raise Refused("TRAIL_BROKEN", f"the seal at {message.sequence} is not signed by a key in {self._keys}")
        return seal.head

    async def _seal(self, before: Head | None) -> tuple[Head | None, bool]:
        """Seals what came after `before`; the new head, and whether there may be more."""
        page = await self._broker.jetstream.get_many(STREAM, sequence=before.sequence + 1 if before else 1, most=MOST)
        if not page or (len(page) == 1 and page[0].subject == self._journal.subject):
            metrics.SEAL_BEHIND.set(0)
            return before, False  # nothing but our own last seal
        head = before = before or Head(page[0].sequence - 1, hash_chain.NOTHING)
        marks = bytearray()
        for message in page:
            if message.sequence != head.sequence + 1:
                _log.error("records_gone", after=head.sequence, next=message.sequence)
            digest = hash_chain.digest_of(message)
            marks += digest[:MARK_BYTES]
            head = hash_chain.after(head, message.sequence, digest)
        now = time.time_ns()
        seal = self._signer.sign(before, head, timestamps.text(now), bytes(marks))
        await self._journal.write_raw(seal.to_json(self._broker.identity))
        metrics.SEALED.inc(len(page))
        metrics.SEAL_BEHIND.set((time.time_ns() - page[0].stored_at_ns) / 1e9)
        metrics.SEALED_SEQUENCE.set(head.sequence)
        return head, len(page) == MOST
