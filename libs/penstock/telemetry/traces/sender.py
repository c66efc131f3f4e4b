"""spans → a bounded queue → a thread of its own → the collector.

Nothing here waits for a collector that is away: what does not fit into the queue is dropped and counted, and the stop
is over after the seconds that it is given, whatever the exporter is doing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from penstock.telemetry.traces import metrics
from penstock.telemetry.traces.span import Span

MOST_WAITING = 4096  # spans
BATCH = 512
EVERY = 1.0  # seconds between two exports while little comes

_log = logging.getLogger("penstock.telemetry.traces")

Export = Callable[[Sequence[Span]], bool]


class Sender:
    """`export` sends spans and says whether the collector has them; `abort` ends its retries. The first is called in
    the sender's thread."""

    def __init__(self, export: Export, abort: Callable[[], None], *, most_waiting: int = MOST_WAITING) -> None:
        self._export = export
        self._abort = abort
        self._most_waiting = most_waiting
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, spans: Sequence[Span]) -> None:
        """Queues spans, or drops them. Never waits."""
        if self._stopping or len(self._queue) + len(spans) > self._most_waiting:
            metrics.QUEUE_FULL.inc(len(spans))
            return
        self._queue.extend(spans)
        if len(self._queue) >= BATCH:
            self._wake.set()

    def stop(self, seconds: float) -> None:
        """Sends what waits, for at most so many seconds; blocks for them."""
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._abort()
        left = len(self._queue)
        self._queue.clear()
        if left:
            metrics.FAILED.inc(left)

    def _run(self) -> None:
        while True:
            self._wake.wait(EVERY)
            self._wake.clear()
            stopping = self._stopping
            while self._queue:
                self._send([self._queue.popleft() for _ in range(min(len(self._queue), BATCH))])
                if len(self._queue) < BATCH and not self._stopping:
                    break
            if stopping:
                return

    def _send(self, spans: Sequence[Span]) -> None:
        try:
            sent = self._export(spans)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a span, the thread must go on
            sent = False
            _log.error("spans_export_failed: %s: %s", type(error).__name__, error)
        (metrics.EXPORTED if sent else metrics.FAILED).inc(len(spans))
        if sent == self._failed:  # once for each outage
            self._failed = not sent
            _log.log(logging.INFO if sent else logging.WARNING, "spans_exported" if sent else "collector_unreachable")
