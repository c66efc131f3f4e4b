"""What became of spans."""

from __future__ import annotations

from penstock.telemetry.metrics import counter

SPANS = counter("penstock_spans_total", "result")
EXPORTED, FAILED = SPANS.labels("exported"), SPANS.labels("export_failed")
QUEUE_FULL, OVER_LIMIT = SPANS.labels("queue_full"), SPANS.labels("over_limit")
