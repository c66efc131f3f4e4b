"""What the regular comparison found."""

from __future__ import annotations

from penstock.telemetry import gauge

DIFFERENCE = gauge("penstock_reconcile_difference_events", "dataset", "store")
