"""What the writer counts of its own, next to what every worker counts (penstock.telemetry.metrics)."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

BATCH_SECONDS = histogram(
    "penstock_rows_written_seconds",
    "Time from sending a batch of rows of one partition to its answer",
    unit="seconds",
    remedy="high: Cassandra's disk syncs slowly, or its compactions lag",
)
BATCHES_FAILED = counter(
    "penstock_rows_failed_total",
    "Batches of rows that failed",
    unit="batches",
    remedy="the log has the reason; events wait on their stream meanwhile",
)
