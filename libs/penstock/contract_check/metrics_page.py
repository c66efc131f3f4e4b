"""metrics.yaml → docs/metrics.md, whole."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.contract_check.readme_tables import markdown_table
from penstock.telemetry.metric_list import Group, Metric

_HEAD = """<!-- Made from contracts/metrics.yaml by `penstock contracts render`; do not edit. -->
# Metrics

Services answer `/metrics` on their HTTP port, for Prometheus. The list is data,
[contracts/metrics.yaml](../contracts/metrics.yaml): the code makes no metric that is not in it, and `penstock contracts
check` finds what is listed and not made. Names end in their base unit, those of counters in `_total`; a `bool` is 0
or 1. What the processes check by themselves: [health.md](health.md).
"""


def page(groups: Mapping[str, Group]) -> str:
    """The text of the page."""
    return _HEAD + "".join(_section(group) for group in groups.values())


def _section(group: Group) -> str:
    head = ("Metric", "Type, unit", "Labels", "Meaning", "When it is bad")
    rows = (
        (f"`{name}`", f"{metric.type}, {metric.unit}", _labels(metric), metric.meaning, metric.when_bad)
        for name, metric in group.metrics.items()
    )
    return f"\n## {group.title}\n\nExported by: {', '.join(group.exported_by)}.\n\n{markdown_table(head, rows)}"


def _labels(metric: Metric) -> str:
    return "; ".join(f"`{label}`: {meaning}" for label, meaning in metric.labels.items())
