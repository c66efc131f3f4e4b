"""Metrics and logs: how they are registered and written."""

from penstock.telemetry.logs import configure_logging
from penstock.telemetry.metrics import counter, gauge, histogram

__all__ = ["configure_logging", "counter", "gauge", "histogram"]
