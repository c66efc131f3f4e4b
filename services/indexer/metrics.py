"""What the indexer counts of its own, next to what every worker counts (penstock.telemetry.metrics)."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

BULK_SECONDS = histogram(
    "penstock_bulk_answered_seconds",
    "Time from sending a bulk request to its answer",
    unit="seconds",
    remedy="high: Elasticsearch is short of CPU or disk, or merges lag",
)
BULK_BYTES = counter(
    "penstock_bulk_sent_bytes_total",
    "Bytes of bulk requests",
    unit="bytes",
    remedy="much more than the events' bytes: requests are tried again and again",
)
BULK_FAILED = counter(
    "penstock_bulk_failed_total",
    "Bulk requests that failed as a whole",
    unit="requests",
    remedy="the log has the reason; events wait on their stream meanwhile",
)
BULK_WIDTH = gauge(
    "penstock_bulk_allowed_requests",
    "Bulk requests that may be in flight at once",
    unit="requests",
    remedy="1 for long: Elasticsearch pushes back",
)
INDICES_MADE = counter(
    "penstock_index_made_total",
    "Indices made for a new dataset, period or model version",
    unit="indices",
    remedy="many in a short time: events spread over many periods; see the bounds of their types",
)
OLD_REFUSED = counter(
    "penstock_rebuilt_index_refused_total",
    "Events that are in the live index, and that the index which is kept for a rollback refused",
    unit="events",
    remedy="after a rollback they would be missing: drop the rebuild once the new index is trusted",
)
INDICES_LOST = counter(
    "penstock_index_lost_total",
    "Indices that were made in place of one that was deleted, and hold only what came since",
    unit="indices",
    remedy="rebuild them: /readyz of the indexer names each, with the command",
)
TEMPLATES_RESTORED = counter(
    "penstock_template_restored_total",
    "Templates that were missing under a running indexer, and were put again",
    unit="templates",
    remedy="find out who deletes them; no index is made without its mapping meanwhile",
)
