"""What answering requests counts."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

REQUESTS = counter("penstock_rpc_requests_total", "service", "operation", "result")
REQUEST_SECONDS = histogram("penstock_rpc_request_duration_seconds", "service", "operation")
