"""How full each stream is, and how far each consumer has come."""

from __future__ import annotations

from penstock.telemetry import gauge

FULL = gauge("penstock_stream_full_ratio", "stream")
FULL_IN = gauge("penstock_stream_full_in_seconds", "stream")
MESSAGES = gauge("penstock_stream_messages", "stream")
BYTES = gauge("penstock_stream_bytes", "stream")
LAST = gauge("penstock_stream_last_sequence", "stream")
PENDING = gauge("penstock_stream_consumer_pending_messages", "stream", "consumer")
UNACKNOWLEDGED = gauge("penstock_stream_consumer_unacknowledged_messages", "stream", "consumer")
FLOOR = gauge("penstock_stream_consumer_floor_sequence", "stream", "consumer")
STALLED = gauge("penstock_stream_consumer_stalled_seconds", "stream", "consumer")
