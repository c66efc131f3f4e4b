"""EVENTS_HTTP, EVENTS_NATS → rows by partition → one batch each → Cassandra events, timeline
SCORES                   → rows by partition → one batch each → Cassandra scores
AUDIT                    → rows by hour      → one batch each → Cassandra audit
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from penstock.consume import Again, Delivery, Done, Outcome, Retry, SinkRetry
from penstock.consume.sink_retry import PATIENCE
from penstock.events import Event
from penstock.runtime import Replayed
from penstock.scoring.score import Score
from penstock.services.writer import audit_rows
from penstock.services.writer.metrics import BATCH_SECONDS, BATCHES_FAILED
from penstock.services.writer.noted_periods import KnownPeriods
from penstock.services.writer.periods import Length
from penstock.services.writer.rows import Rows, event_rows, score_rows
from penstock.services.writer.store import Store
from penstock.services.writer.verdicts import of_error
from penstock.telemetry.traces import store_step

_log = structlog.get_logger(__name__)
REBUILD = "rebuild"  # the effect of a run that fills a table beside the live one
LARGEST_BATCH = 64 * 1024  # bytes of values; a batch of one partition is one mutation, so no server limit is near
MOST_ROWS = 100  # messages of a batch
IN_FLIGHT = 32  # batches; the group commit of Cassandra's log wants many at once
_DONE = Done()


class Writer:
    """Handles batches. `patience`: seconds that a message waits here for a store that is away."""

    def __init__(self, store: Store, length: Length, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._length = length
        self.retry = SinkRetry(patience)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._known = KnownPeriods(store, length)
        self.push_backs = 0  # batches that failed for what passes by itself
        self.failure = ""  # why the last write failed; empty after one that did not

    def stop(self) -> None:
        """Messages that wait are handed back at once."""
        self.retry.stop()

    async def events(self, batch: Sequence[Event]) -> list[Outcome]:
        """One outcome per event; whoever waits for it gets the key and the stage `stored`."""
        outcomes = await self._write([event_rows(event, self._length) for event in batch])
        return [
            Done({"stage": "stored", "key": event.key}) if event.reply_to and outcome is _DONE else outcome
            for event, outcome in zip(batch, outcomes, strict=True)
        ]

    def replayed(self, decode: Callable[[Delivery], Event], effect: str) -> Replayed[Event]:
        """Events of a replay; those of a rebuild go to tables that are filled beside the live ones."""
        return Replayed(decode, self.filled if effect == REBUILD else self.events)

    async def filled(self, batch: Sequence[Event]) -> list[Outcome]:
        """One outcome per event of a rebuild."""
        return await self._write([replace(event_rows(event, self._length), fill=True) for event in batch])

    async def scores(self, batch: Sequence[Score]) -> list[Outcome]:
        """One outcome per score."""
        return await self._write([score_rows(score, self._length) for score in batch])

    async def audit(self, batch: Sequence[audit_rows.Record]) -> list[Outcome]:
        """One outcome per record of the audit trail."""
        return await self._write([audit_rows.rows(record) for record in batch])

    async def _write(self, rows: Sequence[Rows]) -> list[Outcome]:
        outcomes: list[Outcome] = [_DONE] * len(rows)
        if missing := self._known.missing([row.period for row in rows if row.noted]):
            with suppress(Exception):  # whatever fails here fails again below, with its verdict
                await self._known.note(missing)
        sent = [(part, await self._send([rows[position] for position in part])) for part in partitions(rows)]
        await asyncio.wait([answer for _, answer in sent])
        failed = [(part, error) for part, answer in sent if (error := answer.exception()) is not None]
        if not failed:
            self.failure = ""
            return outcomes
        async with asyncio.TaskGroup() as group:
            for part, error in failed:
                group.create_task(self._settle(rows, part, error, outcomes))
        return outcomes

    async def _settle(
        self, rows: Sequence[Rows], part: Sequence[int], error: BaseException, outcomes: list[Outcome]
    ) -> None:
        """Tries again until each row of the part, which failed with `error`, has its outcome."""
        await self.retry.settle(part, await self._verdicts(rows, part, error), partial(self._attempt, rows), outcomes)

    async def _attempt(self, rows: Sequence[Rows], part: Sequence[int]) -> Sequence[Outcome | Again]:
        answer = await self._send([rows[position] for position in part])
        await asyncio.wait([answer])
        error = answer.exception()
        if error is None:
            self.failure = ""
            return [_DONE] * len(part)
        return await self._verdicts(rows, part, error)

    async def _verdicts(
        self, rows: Sequence[Rows], part: Sequence[int], error: BaseException
    ) -> Sequence[Outcome | Again]:
        """One verdict for each row of a part that failed; where a single row may be at fault, the halves are tried."""
        verdict = of_error(error, len(part))
        if verdict == "split":
            half = len(part) // 2
            return [*await self._attempt(rows, part[:half]), *await self._attempt(rows, part[half:])]
        if isinstance(verdict, Again):
            self.push_backs += 1
        if isinstance(verdict, Again | Retry):
            self._failed(verdict.why)
        return [verdict] * len(part)

    async def _send(self, rows: Sequence[Rows]) -> asyncio.Future[Any]:
        """Sends rows of one partition as soon as there is room; the future holds the error, if there is one."""
        await self._room.acquire()
        began = time.perf_counter()
        writing = store_step("cassandra", "BATCH INSERT", rows[0].statements[0][0], size=len(rows))
        try:
            if rows[0].noted and (missing := self._known.missing([rows[0].period])):
                await self._known.note(missing)
            await self._store.generations.refresh()  # and nothing is waited for between this and the write
            answer = self._store.write(rows)
        except Exception as error:  # noqa: BLE001 - verdicts.of_error knows what the driver can raise
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(error)
        except asyncio.CancelledError:
            self._room.release()
            raise

        def answered(answer: asyncio.Future[Any]) -> None:
            self._room.release()
            writing.end(None if answer.cancelled() else answer.exception())
            BATCH_SECONDS.observe(time.perf_counter() - began)

        answer.add_done_callback(answered)
        return answer

    def _failed(self, why: str) -> None:
        BATCHES_FAILED.inc()
        if not self.failure:
            _log.warning("batch_write_failed", reason=why)
        self.failure = why


def partitions(rows: Sequence[Rows]) -> Iterator[list[int]]:
    """Positions of rows that go together: of one partition, within the size of a batch."""
    groups: dict[tuple[str, int], tuple[list[int], int]] = {}
    for position, row in enumerate(rows):
        where, size = (row.period, row.pp), row.size
        members, total = groups.get(where, ([], 0))
        if members and (total + size > LARGEST_BATCH or len(members) >= MOST_ROWS):
            yield members
            members, total = [], 0
        members.append(position)
        groups[where] = (members, total + size)
    for members, _ in groups.values():
        yield members
