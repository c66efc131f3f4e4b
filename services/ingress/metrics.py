"""Metrics of the ingress."""

from __future__ import annotations

from penstock.telemetry import metrics

EVENTS = metrics.counter("penstock_events_received_total", "status")
DURABLE = metrics.gauge("penstock_ingress_durable")
REQUESTS = metrics.counter("penstock_http_requests_total", "path", "status")
REQUEST_SECONDS = metrics.histogram("penstock_http_request_duration_seconds", "path")
SHARES_USED_UP = metrics.counter("penstock_shares_exhausted_total", "share")
CONNECTIONS = metrics.gauge("penstock_http_connections")
CONNECTIONS_CLOSED = metrics.counter("penstock_http_connections_closed_total", "why")
BODY_BYTES = metrics.gauge("penstock_http_body_memory_bytes")
TAILS = metrics.gauge("penstock_tail_clients")
TAIL_GAPS = metrics.counter("penstock_tail_events_dropped_total")
