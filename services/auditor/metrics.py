"""What the auditor counts of its own."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

EVENTS = counter(
    "penstock_audited_events_total",
    "Events whose publish is on the audit trail",
    unit="events",
    labels=("stream",),
    remedy="no growth while events are stored: /readyz of the auditor says why",
)
ENTRIES = counter(
    "penstock_audited_entries_total",
    "Dead letters, calls and connections put onto the audit trail",
    unit="entries",
    labels=("stream",),
    remedy="a rush of them: `penstock audit search` shows who",
)
FILLED = counter(
    "penstock_audit_filled_total",
    "Events read from the stream because the consumer gave them to nobody or somebody else",
    unit="events",
    remedy="steady growth: do several auditors run, or is the connection bad?",
)
BEHIND = gauge(
    "penstock_audit_behind_seconds",
    "Age of the window of publishes written last",
    unit="seconds",
    labels=("stream",),
    remedy="more than a minute: the auditor does not keep up, or AUDIT takes nothing",
)
SEALED = counter("penstock_sealed_records_total", "Audit records sealed", unit="records", remedy="as above")
SEALED_SEQUENCE = gauge(
    "penstock_sealed_sequence",
    "Sequence of the last audit record sealed",
    unit="sequence",
    remedy="note it outside of the fleet: who could rewrite the whole trail cannot rewrite your note",
)
SEAL_BEHIND = gauge(
    "penstock_seal_behind_seconds",
    "Age of the oldest record when it was sealed",
    unit="seconds",
    remedy="more than a minute: the sealer does not keep up; records are safe, but not proven yet",
)
