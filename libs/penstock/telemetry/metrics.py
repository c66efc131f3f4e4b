"""Makes the metrics of contracts/metrics.yaml, and no others: type, labels, text and buckets come from there."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from penstock.telemetry.metric_list import Kind, Metric, shipped

_DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


def counter(name: str, *labels: str) -> Counter:
    """Registers a listed counter. Raises LookupError for another name, type or labels."""
    return Counter(name, _listed(name, "counter", labels).meaning, labels)


def gauge(name: str, *labels: str) -> Gauge:
    """Registers a listed gauge. Raises LookupError for another name, type or labels."""
    return Gauge(name, _listed(name, "gauge", labels).meaning, labels)


def histogram(name: str, *labels: str) -> Histogram:
    """Registers a listed histogram. Raises LookupError for another name, type or labels."""
    metric = _listed(name, "histogram", labels)
    return Histogram(name, metric.meaning, labels, buckets=metric.buckets or _DURATIONS)


def _listed(name: str, kind: Kind, labels: tuple[str, ...]) -> Metric:
    metric = shipped().get(name)
    if metric is None:
        raise LookupError(f"{name} is not in contracts/metrics.yaml: add it there")
    if (metric.type, tuple(metric.labels)) != (kind, labels):
        raise LookupError(
            f"{name} is a {metric.type} with the labels {list(metric.labels)} in contracts/metrics.yaml, and a {kind}"
            f" with {list(labels)} in the code: correct one of them"
        )
    return metric
