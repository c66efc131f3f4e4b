"""batch → handle → one outcome for each message → settled. A handler that raises delays its batch, and loses none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from penstock.consume import metrics
from penstock.consume.delivery import Delivery
from penstock.consume.in_flight import InFlight
from penstock.consume.outcome import Failed, Outcome, Retry
from penstock.consume.settle import Settler
from penstock.consume.traced_batch import TracedBatch
from penstock.errors import PenstockError
from penstock.telemetry.traces import Step, Tracer

_log = structlog.get_logger("penstock.consume.batch_handler")

Handle = Callable[[list[Delivery]], Awaitable[list[Outcome]]]


class BatchHandler:
    """Calls the handler of one lane. `after_failure`: seconds before a message comes again whose handler raised."""

    def __init__(
        self,
        stream: str,
        consumer: str,
        handle: Handle,
        settler: Settler,
        in_flight: InFlight,
        after_failure: float,
        tracer: Tracer | None = None,
    ) -> None:
        self._where = {"stream": stream, "consumer": consumer}
        self._handle = handle
        self._settler = settler
        self._in_flight = in_flight
        self._after_failure = after_failure
        self._tracer = tracer
        self._failures = metrics.HANDLE_FAILURES.labels(stream, consumer)
        self._messages = metrics.BATCH_MESSAGES.labels(stream, consumer)
        self._seconds = metrics.HANDLE_SECONDS.labels(stream, consumer)
        self.refusal = ""  # why the last batch of which all messages come again was not taken

    async def run(self, batch: list[Delivery], outcomes: list[Outcome] | None = None) -> int:
        """Handles a batch that is in flight (unless its outcomes are given), settles and releases it; returns how many
        of its messages will come again. Cancelled, the batch stays in flight, to be given back."""
        if self._tracer is None:
            return await self._run(batch, outcomes)
        traced = TracedBatch(self._tracer, batch, **self._where)
        with Step(traced.span):
            return await self._run(batch, outcomes, traced)

    async def _run(
        self, batch: list[Delivery], outcomes: list[Outcome] | None, traced: TracedBatch | None = None
    ) -> int:
        if outcomes is None:
            outcomes = await self._outcomes(batch)
        try:
            again = await self._settler.settle(batch, outcomes)
        except Exception as error:  # noqa: BLE001 - a defect must not leave messages in flight for ever
            _log.error("batch_settle_failed", **self._where, exc_info=error)
            self._settler.retry([(delivery, self._failed()) for delivery in batch])
            again = len(batch)
        if again == len(batch):
            self.refusal = next((outcome.why for outcome in outcomes if isinstance(outcome, Retry)), "")
        self._messages.observe(len(batch))
        self._seconds.observe(self._in_flight.release(batch))
        if traced is not None:
            traced.finish(outcomes)
        return again

    async def _outcomes(self, batch: list[Delivery]) -> list[Outcome]:
        try:
            outcomes = await self._handle(batch)
            if len(outcomes) == len(batch):
                return outcomes
            error: Exception = ValueError(f"{len(outcomes)} outcomes for {len(batch)} deliveries")
        except PenstockError as raised:
            if raised.retriable:
                return [Retry(raised.retry_after or self._after_failure, raised.code)] * len(batch)
            error = raised
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises, its messages are kept
            error = raised
        self._failures.inc()
        _log.error("batch_handle_failed", **self._where, messages=len(batch), exc_info=error)
        return [self._failed()] * len(batch)

    def _failed(self) -> Failed:
        return Failed(self._after_failure, "the handler failed")
