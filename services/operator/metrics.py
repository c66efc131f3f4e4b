"""What the leading operator counts of the replays under way; a replica that follows shows none."""

from __future__ import annotations

from penstock.telemetry import gauge

PLANNED = gauge(
    "penstock_replay_planned",
    "Messages that the run of a target has to replay; 0: no run",
    unit="messages",
    remedy="`penstock replay list --active` names the run",
    labels=("target",),
)
LEFT = gauge(
    "penstock_replay_left",
    "Messages of the run of a target that have no outcome yet",
    unit="messages",
    remedy="not falling: `penstock replay status` says what holds the run back",
    labels=("target",),
)
ALLOWED = gauge(
    "penstock_replay_allowed",
    "Rate that the run of a target is allowed now",
    unit="events a second",
    remedy="below the run's own rate: live traffic lags or the sink pushes back; `penstock replay status` says which",
    labels=("target",),
)
LEADS = gauge(
    "penstock_operator_leads",
    "1 while this replica leads, 0 while it follows",
    unit="replicas",
    remedy="the sum over all replicas must be 1; 0 for longer than 5 s: no operator runs, or none reaches the broker",
    labels=(),
)
