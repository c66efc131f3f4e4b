"""What the writer counts of its own, next to what every worker counts (contracts/metrics.yaml)."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

BATCH_SECONDS = histogram("penstock_row_batch_duration_seconds")
BATCHES_FAILED = counter("penstock_row_batches_failed_total")
TABLES_LOST = counter("penstock_tables_lost_total", "table")
