"""Declares metrics, each with its meaning, unit and remedy in METRICS; /metrics and the docs come from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it counts, in which unit, and what to do when it looks wrong."""

    name: str
    kind: Kind
    meaning: str
    unit: str
    remedy: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: list[Metric] = []

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


def counter(name: str, meaning: str, *, unit: str, remedy: str, labels: tuple[str, ...] = ()) -> Counter:
    """Registers a counter; its name ends in _total."""
    METRICS.append(Metric(name, "counter", meaning, unit, remedy, labels))
    return Counter(name, meaning, labels)


def gauge(name: str, meaning: str, *, unit: str, remedy: str, labels: tuple[str, ...] = ()) -> Gauge:
    """Registers a gauge."""
    METRICS.append(Metric(name, "gauge", meaning, unit, remedy, labels))
    return Gauge(name, meaning, labels)


def histogram(
    name: str,
    meaning: str,
    *,
    unit: str,
    remedy: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = _SECONDS,
) -> Histogram:
    """Registers a histogram; its name ends in its unit."""
    METRICS.append(Metric(name, "histogram", meaning, unit, remedy, labels, buckets))
    return Histogram(name, meaning, labels, buckets=buckets)
