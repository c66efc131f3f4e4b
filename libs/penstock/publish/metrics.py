"""What publishing counts."""

from __future__ import annotations

from penstock.telemetry import COUNTS, counter, histogram

COMMIT_SECONDS = histogram(
    "penstock_group_committed_seconds",
    "Time from sending a group to the stream's answer",
    unit="seconds",
    remedy="high: the disk under the broker is slow to sync, or the stream's leader is overloaded",
)
COMMIT_MESSAGES = histogram(
    "penstock_group_committed_messages",
    "Messages in a committed group",
    unit="messages",
    remedy="always at the top bucket: the ingress is saturated, add an ingress or a stream",
    buckets=COUNTS,
)
COMMIT_FALLBACKS = counter(
    "penstock_group_split_total",
    "Groups that were published message by message because the batch failed",
    unit="groups",
    remedy="growth: the reason says what the server answered; other batches may be left open on the stream",
    labels=("reason",),
)
