"""What the check counts."""

from __future__ import annotations

from penstock.telemetry import counter

DRIFTED = counter("penstock_events_drifted_total", "type")
