"""What publishing counts."""

from __future__ import annotations

from penstock.telemetry import counter, gauge, histogram

COMMIT_SECONDS = histogram("penstock_commit_duration_seconds")
COMMIT_MESSAGES = histogram("penstock_commit_messages")
COMMIT_FALLBACKS = counter("penstock_commits_split_total", "reason")
QUEUED = gauge("penstock_commit_queue_messages")
