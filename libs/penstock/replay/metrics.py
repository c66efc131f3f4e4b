"""What the replay lanes of a worker count."""

from __future__ import annotations

from penstock.telemetry import counter, gauge

SETTLED = counter(
    "penstock_replay_settled_total",
    "Replayed messages by outcome (confirmed, skipped: newer data is there, parked: dead-lettered, filtered)",
    unit="messages",
    remedy="parked grows: pause the run and read its dead letters",
    labels=("outcome",),
)
OUT_OF_RANGE = counter(
    "penstock_replay_passed_total",
    "Deliveries behind the end of a run, or of a run that is over, acknowledged without being handled",
    unit="messages",
    remedy="growth over minutes: no operator ends the run; look at the operator's log",
)
YIELDED = counter(
    "penstock_replay_yielded_total",
    "Times that a replay waited because live messages filled a batch of their own",
    unit="waits",
    remedy="growth is as intended; a replay that stands still needs more replicas, or a quieter hour",
)
RESTED = counter(
    "penstock_replay_rested_seconds_total",
    "Time for which a replay left its worker to live messages between two portions of its own",
    unit="seconds",
    remedy="growth is as intended: live traffic is busy; for a faster replay add replicas, or wait for a quieter hour",
)
ALLOWED = gauge(
    "penstock_replay_allowed_rate",
    "Events a second that this process may replay now; 0 while none runs, it is paused, or no operator answers",
    unit="events/s",
    remedy="0 while a run is on: `penstock replay status` says why",
)
LANES = gauge(
    "penstock_replay_started_lanes",
    "Replay lanes of this process that are at work",
    unit="lanes",
    remedy="0 while a run of this worker is on: the log says what keeps it from starting",
)
UNRECORDED = counter(
    "penstock_replay_unrecorded_total",
    "Outcome records that could not be stored at first; their messages are acknowledged only once they are",
    unit="records",
    remedy="growth: REPLAY_LOG is full or away",
)
