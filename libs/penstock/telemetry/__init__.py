"""Metrics and logs: how they are registered and written."""

from penstock.telemetry.logs import configure_logging
from penstock.telemetry.metrics import COUNTS, METRICS, Metric, counter, gauge, histogram

__all__ = ["COUNTS", "METRICS", "Metric", "configure_logging", "counter", "gauge", "histogram"]
