"""What the replay lanes of a worker count."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

SETTLED = counter("penstock_replay_settled_total", "outcome")
OUT_OF_RANGE = counter("penstock_replay_out_of_range_total")
YIELDED = counter("penstock_replay_yielded_total")
RESTED = counter("penstock_replay_rested_seconds_total")
ALLOWED = gauge("penstock_replay_worker_rate_limit")
LANES = gauge("penstock_replay_lanes")
UNRECORDED = counter("penstock_replay_unrecorded_total")
