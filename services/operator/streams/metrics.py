"""How full each stream is."""

from __future__ import annotations

from penstock.telemetry import gauge

FULL = gauge("penstock_stream_full_ratio", "stream")
FULL_IN = gauge("penstock_stream_full_in_seconds", "stream")
