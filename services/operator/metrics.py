"""What the leading operator counts of the replays under way; a replica that follows shows none."""

from __future__ import annotations

from penstock.telemetry import gauge

PLANNED = gauge("penstock_replay_planned_messages", "target")
LEFT = gauge("penstock_replay_remaining_messages", "target")
ALLOWED = gauge("penstock_replay_rate_limit", "target")
LEADS = gauge("penstock_operator_leader")
