"""What the check counts."""

from __future__ import annotations

from penstock.telemetry import counter

DRIFTED = counter(
    "penstock_events_drifted_total",
    "Events kept that are not as their type describes them: members that are not described, nulls, other scalars",
    labels=("type",),
    unit="events",
    remedy="rising: a provider has changed its records; `penstock contracts check --drift FILE` shows where",
)
