"""What the authority counts."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

REQUESTS = counter("penstock_connect_decisions_total", "result")
REQUEST_SECONDS = histogram("penstock_connect_decision_duration_seconds")
DISCONNECTED = counter("penstock_denied_connections_closed_total")
