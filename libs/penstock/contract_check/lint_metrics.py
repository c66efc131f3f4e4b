"""metrics.yaml follows the conventions of Prometheus, and the code makes exactly the metrics that it lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts
from penstock.telemetry import metric_list
from penstock.telemetry.metric_list import Metric

_NAME = re.compile(r"penstock(_[a-z]+)+\Z")
_LABEL = re.compile(r"[a-z][a-z_]*\Z")
_RESERVED_LABELS = {"instance", "job", "le", "quantile"}  # Prometheus sets them
_BASE_UNITS = ("seconds", "bytes", "ratio")  # are the end of a name
_OTHER_UNITS = re.compile(r"milli|micro|nano|kilo|mega|giga|minutes|hours|days|percent|\bms\b|\b[KMG]i?B\b")
_ONLY_COUNTERS, _ONLY_HISTOGRAMS = "_total", ("_bucket", "_count", "_sum")


def lint_metrics(contracts: Contracts, sources: Path) -> Iterator[Finding]:
    """Findings about the list, objectives measured by others, and Python sources that make more or fewer metrics."""
    listed = dict(metric_list.by_name(contracts.metrics))
    if len(listed) < sum(len(group.metrics) for group in contracts.metrics.values()):
        yield Finding(metric_list.FILE, "name", "a metric is listed in two groups", "Keep one of the two.")
    for group in contracts.metrics.values():
        for service in group.exported_by:
            if service not in contracts.identities:
                yield Finding(metric_list.FILE, "reference", f"{service} is not a service", "Correct exported_by.")
    for name, metric in listed.items():
        for what, next_step in _mistakes(name, metric):
            yield Finding(f"{metric_list.FILE} {name}", "metric", what, next_step)
    for name, objective in contracts.objectives.items():
        for metric_name in sorted(objective.metrics - listed.keys()):
            what = f"{metric_name} is not in {metric_list.FILE}"
            yield Finding(f"objectives.yaml {name}", "reference", what, "Correct the name.")
        if (sources / "docs").is_dir() and not (sources / "docs/runbooks" / objective.runbook).is_file():
            what = f"docs/runbooks has no {objective.runbook}"
            yield Finding(f"objectives.yaml {name}", "reference", what, "Write the page.")
    if (sources / "libs").is_dir():
        yield from _compare(listed, sources)


def _mistakes(name: str, metric: Metric) -> Iterator[tuple[str, str]]:
    stem = name.removesuffix(_ONLY_COUNTERS)
    if not _NAME.match(name) or stem.endswith(_ONLY_HISTOGRAMS):
        yield "the name breaks the conventions", "Name it penstock_<what>_<base unit>, lower case."
    if (metric.type == "counter") != name.endswith(_ONLY_COUNTERS):
        yield f"a {metric.type} is named so", "End counters, and only these, in _total."
    if _OTHER_UNITS.search(metric.unit):
        yield f"{metric.unit} is no base unit", f"Use {', '.join(_BASE_UNITS)}, or what is counted."
    for unit in _BASE_UNITS:
        if (metric.unit == unit) != stem.endswith(f"_{unit}"):
            yield f"name and unit disagree about {unit}", "End the name in its base unit."
    for label, meaning in metric.labels.items():
        if not _LABEL.match(label) or label in _RESERVED_LABELS or not meaning.strip():
            yield (
                f"the label {label!r} is reserved, misspelt or has no meaning",
                "Rename it, or say what it means.",
            )
    if not (metric.meaning.strip() and metric.when_bad.strip() and metric.unit.strip()):
        yield "a text is empty", "Say what it means, its unit, and what to do when it is bad."
    if metric.buckets and (metric.type != "histogram" or list(metric.buckets) != sorted(set(metric.buckets))):
        yield "the buckets are not those of a histogram", "Give ascending buckets to a histogram only."


def _compare(listed: dict[str, Metric], sources: Path) -> Iterator[Finding]:
    made: dict[str, str] = {}
    for folder in ("libs", "services"):
        for path in sorted((sources / folder).rglob("*.py")):
            for line, kind, arguments in _made(path):
                where = f"{path.relative_to(sources).as_posix()}:{line}"
                name, labels = arguments[0], arguments[1:]
                metric = listed.get(name)
                if metric is None:
                    yield Finding(where, "metric", f"{name} is not in {metric_list.FILE}", "Add it there.")
                elif (metric.type, list(metric.labels)) != (kind, labels):
                    wanted = f"a {metric.type} with {list(metric.labels)}"
                    yield Finding(where, "metric", f"{name} is listed as {wanted}", "Correct one of the two.")
                if name in made:
                    yield Finding(where, "metric", f"{name} is made at {made[name]} too", "Make it once.")
                made[name] = where
    for name in sorted(listed.keys() - made.keys()):
        yield Finding(f"{metric_list.FILE} {name}", "metric", "no source makes this metric", "Remove it, or make it.")


def _made(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """(line, type, name and labels) of each metric that a module makes."""
    text = path.read_text(encoding="utf-8")
    if "penstock.telemetry" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        kind = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if kind in ("counter", "gauge", "histogram"):
            values = [each.value for each in node.args if isinstance(each, ast.Constant)]
            yield node.lineno, kind, [value for value in values if isinstance(value, str)]
