"""this replica's state → svc.workers.report, every two seconds → the order to open the brake, if somebody gave it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from penstock.broker import Broker
from penstock.consume import Brake, Closing
from penstock.contracts.identities import Identity
from penstock.errors import PenstockError
from penstock.events import timestamps
from penstock.replay.live_traffic import LiveTraffic
from penstock.rpc.client import ask
from penstock.rpc.messages import (
    MAX_PUBLISHERS,
    MAX_SENTENCES,
    ClosedBrake,
    Refusals,
    WorkerOrder,
    WorkerReport,
)
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.runtime.reporting")

EVERY = 2.0  # seconds between reports
EVERY_BRAKED = 0.5
TIMEOUT = 1.0
LONGEST = 4096  # characters of a sentence


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports on one process. While no operator leads, nothing is reported, and nothing else depends on it."""

    broker: Broker
    instance: str
    brake: Brake
    live: LiveTraffic
    reasons: Callable[[], list[str]]
    notes: Callable[[], list[str]]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then reports that this replica is gone."""
        while not stop.is_set():
            await self._report()
            await set_within(stop, EVERY_BRAKED if self.brake.stopped else EVERY)
        await self._send(WorkerReport(instance=self.instance, stopped=True))

    async def _report(self) -> None:
        closing = self.brake.closing
        body = WorkerReport(
            instance=self.instance,
            reasons=[reason[:LONGEST] for reason in self.reasons()[:MAX_SENTENCES]],
            notes=[note[:LONGEST] for note in self.notes()[:MAX_SENTENCES]],
            pending=self.live.pending,
            behind=self.live.behind,
            brake=closing and _closed(closing),
        )
        order = await self._send(body)
        if closing is not None and order.resume == closing.number and self.brake.closing is closing:
            _log.warning("brake_opened", closing=closing.number)
            self.brake.resume()

    async def _send(self, body: WorkerReport) -> WorkerOrder:
        try:
            answer = await ask(self.broker, "workers", "report", body.to_json(), timeout=TIMEOUT)
        except PenstockError as error:
            _log.debug("worker_report_failed", reason=str(error))
            return WorkerOrder()
        return WorkerOrder.model_validate(answer)


def may_report(identity: Identity | None) -> bool:
    """Whether the contracts let it."""
    return identity is not None and "workers.report" in identity.requests


def _closed(closing: Closing) -> ClosedBrake:
    worst = list(closing.publishers.items())[:MAX_PUBLISHERS]
    return ClosedBrake(
        number=closing.number,
        since=timestamps.text(int(closing.since * 1e3) * 1_000_000),
        until=timestamps.text(int(closing.until * 1e3) * 1_000_000),
        codes=list(closing.codes),
        publishers=[Refusals(publisher=name, refused=bad, messages=all) for name, (bad, all) in worst],
    )
