"""settled messages of a replay → one record on REPLAY_LOG, stored before they are acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from penstock.broker import Broker
from penstock.consume import Delivery, Done, Outcome
from penstock.contracts import subjects
from penstock.errors import Unavailable
from penstock.replay import metrics
from penstock.replay.outcomes import Kind, encode

_log = structlog.get_logger("penstock.replay.outcome_log")

PATIENCE = 20.0  # seconds that a batch waits for its record; after that its messages come again
# What the proof counts a settled message as.
_KINDS: Mapping[str, Kind] = {"": "confirmed", "superseded": "skipped", "filtered": "filtered"}
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries


class OutcomeLog:
    """The records of one run by one worker."""

    def __init__(self, broker: Broker, worker: str, run: str) -> None:
        self.handled = 0  # messages recorded so far
        self._broker = broker
        self._run = run
        self._subject = subjects.replay_log(worker, run)

    async def record(self, settled: Sequence[tuple[Delivery, Outcome]]) -> None:
        """Returns when the outcomes are stored. Raises PenstockError when that failed for PATIENCE seconds."""
        found: dict[tuple[str, Kind], list[int]] = {}
        for delivery, outcome in settled:
            place = (delivery.stream, _KINDS[outcome.unwritten] if type(outcome) is Done else "parked")
            if (sequences := found.get(place)) is None:
                sequences = found[place] = []
            sequences.append(delivery.sequence)
        by_stream: dict[str, dict[Kind, list[int]]] = {}
        for (stream, kind), sequences in found.items():
            by_stream.setdefault(stream, {})[kind] = sequences
        await self._store(encode(by_stream))
        self.handled += len(settled)
        for (_, kind), sequences in found.items():
            metrics.SETTLED.labels(kind).inc(len(sequences))

    async def _store(self, record: bytes) -> None:
        deadline, pause = time.monotonic() + PATIENCE, SHORTEST_PAUSE
        while True:
            try:
                await self._broker.publish(self._subject, record)
            except Unavailable as error:
                if time.monotonic() + pause >= deadline:
                    raise
                if pause == SHORTEST_PAUSE:
                    metrics.UNRECORDED.inc()
                    _log.warning("replay_record_failed", run=self._run, reason=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return
