"""What the indexer counts of its own, next to what every worker counts (contracts/metrics.yaml)."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

BULK_SECONDS = histogram("penstock_bulk_duration_seconds")
BULK_BYTES = counter("penstock_bulk_sent_bytes_total")
BULK_FAILED = counter("penstock_bulk_requests_failed_total")
BULK_WIDTH = gauge("penstock_bulk_concurrency_limit")
INDICES_MADE = counter("penstock_indices_created_total")
OLD_REFUSED = counter("penstock_rebuilt_index_refused_total")
INDICES_LOST = counter("penstock_indices_lost_total")
TEMPLATES_RESTORED = counter("penstock_templates_restored_total")
