"""What a worker counts."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

REPLIES = counter("penstock_replies_total", "result")
FINDINGS = gauge("penstock_check_findings", "check")
CHECKS_FAILED = counter("penstock_checks_failed_total", "check")
