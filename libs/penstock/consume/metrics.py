"""What lanes count."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

DELIVERIES = counter("penstock_deliveries_settled_total", "stream", "consumer", "outcome")
DELIVERIES_REFUSED = counter("penstock_deliveries_refused_total", "stream", "consumer")
HANDLE_SECONDS = histogram("penstock_batch_duration_seconds", "stream", "consumer")
BATCH_MESSAGES = histogram("penstock_batch_messages", "stream", "consumer")
HANDLE_FAILURES = counter("penstock_batches_failed_total", "stream", "consumer")
LANE_PENDING = gauge("penstock_consumer_pending_messages", "stream", "consumer")
LANE_BEHIND_SECONDS = gauge("penstock_consumer_lag_seconds", "stream", "consumer")
LANE_HELD = gauge("penstock_consumer_in_flight_messages", "stream", "consumer")
BRAKED = gauge("penstock_worker_braked", "worker", "traffic", "code")
PULLS_RENEWED = counter("penstock_pulls_renewed_total", "stream", "consumer")
DEAD_LETTERS = counter("penstock_dead_letters_stored_total", "code", "form")
DEAD_LETTERS_FAILED = counter("penstock_dead_letters_failed_total")
DEAD_LETTER_SHARE_EXHAUSTED = counter("penstock_dead_letter_shares_exhausted_total", "publisher")
