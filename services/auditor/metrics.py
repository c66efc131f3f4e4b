"""What the auditor counts of its own."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

EVENTS = counter("penstock_audit_events_total", "stream")
ENTRIES = counter("penstock_audit_entries_total", "stream")
FILLED = counter("penstock_audit_filled_total")
BEHIND = gauge("penstock_audit_lag_seconds", "stream")
SEALED = counter("penstock_audit_sealed_records_total")
SEALED_SEQUENCE = gauge("penstock_audit_sealed_sequence")
SEAL_BEHIND = gauge("penstock_audit_seal_lag_seconds")
