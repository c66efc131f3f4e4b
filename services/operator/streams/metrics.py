"""How full each stream is."""

from __future__ import annotations

from penstock.telemetry import gauge

FULL = gauge(
    "penstock_stream_full_ratio",
    "Share of its max_bytes that a stream uses",
    unit="ratio",
    remedy="above 0.8: raise its max_bytes, or lower its max_age, in contracts/streams.yaml and run"
    " `penstock provision`; a full stream takes no more",
    labels=("stream",),
)
FULL_IN = gauge(
    "penstock_stream_full_in_hours",
    "Hours until a stream is full, at the faster of its paces of the last hour and over all; +Inf when it never is",
    unit="hours",
    remedy="below 72: see penstock_stream_full_ratio",
    labels=("stream",),
)
