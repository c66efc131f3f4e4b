"""What the connection counts."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

BROKER_CONNECTED = gauge("penstock_broker_connected", "identity")
BROKER_RECONNECTS = counter("penstock_broker_reconnects_total")
BROKER_ERRORS = counter("penstock_broker_errors_total", "kind")
TOKEN_EXPIRY = gauge("penstock_broker_token_expiry_timestamp_seconds", "identity")
