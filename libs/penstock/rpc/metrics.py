"""What answering requests counts."""

from __future__ import annotations

from penstock.telemetry import counter, histogram

REQUESTS = counter(
    "penstock_rpc_request_answered_total",
    "Requests answered, by result (ok or the error's code)",
    unit="requests",
    remedy="errors: the code says what to do",
    labels=("service", "operation", "result"),
)
REQUEST_SECONDS = histogram(
    "penstock_rpc_request_answered_seconds",
    "Time from a request's arrival to its answer",
    unit="seconds",
    remedy="high: look at the store behind the service, and at its concurrency",
    labels=("service", "operation"),
)
