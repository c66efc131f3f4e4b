"""contracts/metrics.yaml, the code, the services and the documents name the same metrics."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grimp
import pytest
from prometheus_client import generate_latest

from penstock.contract_check.lint_metrics import lint_metrics
from penstock.contracts import load
from penstock.telemetry import counter, gauge
from penstock.telemetry.metric_list import by_name
from tests.contracts.conftest import Edit, set_member

ROOT = Path(__file__).resolve().parents[2]
LISTED = dict(by_name(load().metrics))
WITHOUT_METRICS_PAGE = {"edge", "issuer", "trainer"}


def test_each_group_names_the_services_that_export_it() -> None:
    graph = grimp.build_graph("penstock")
    modules = _makers(graph)
    services = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")} - WITHOUT_METRICS_PAGE
    imported = {name: graph.find_upstream_modules(f"penstock.services.{name}.__main__") for name in services}
    module_of = {metric: module for module in modules for metric in re.findall(r'"(penstock_\w+)"', _source(module))}
    for group in load().metrics.values():
        for metric in group.metrics:
            assert set(group.exported_by) == {name for name in services if module_of[metric] in imported[name]}, metric


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)
def test_promtool_has_nothing_against_names_and_texts() -> None:
    for module in _makers(grimp.build_graph("penstock")):
        importlib.import_module(module)
    exported = generate_latest()
    assert all(f"# HELP {name} ".encode() in exported for name in LISTED)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=exported, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_documents_name_listed_metrics_only() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for path in documents for name in re.findall(r"\bpenstock_[a-z]+_[a-z_]+\b", path.read_text())}
    assert len(named) > 50
    assert named - LISTED.keys() == set()


def test_the_code_cannot_make_a_metric_that_is_not_listed_so() -> None:
    with pytest.raises(LookupError, match=r"not in contracts/metrics\.yaml"):
        counter("penstock_surprises_total")
    with pytest.raises(LookupError, match="is a counter with the labels"):
        gauge("penstock_broker_reconnects_total")
    with pytest.raises(LookupError, match="correct one of them"):
        counter("penstock_broker_reconnects_total", "identity")


@pytest.mark.parametrize(
    ("member", "to", "what"),
    [
        ("type", "gauge", "a gauge is named so"),
        ("unit", "milliseconds", "no base unit"),
        ("unit", "bytes", "disagree about bytes"),
        ("labels", {"job": "which"}, "'job' is reserved"),
        ("when_bad", " ", "a text is empty"),
        ("buckets", [1.0, 2.0], "not those of a histogram"),
    ],
)
def test_a_metric_against_the_conventions_is_found(copy: Path, edit: Edit, member: str, to: Any, what: str) -> None:
    edit("metrics.yaml", set_member("broker", "metrics", "penstock_broker_reconnects_total", member, to=to))
    assert any(what in finding.what for finding in lint_metrics(load(copy), copy.parent))


def test_list_and_sources_are_compared_in_both_directions(copy: Path, edit: Edit) -> None:
    module = copy.parent / "libs/made.py"
    module.parent.mkdir()
    module.write_text(
        "from penstock.telemetry import counter, gauge\n"
        'A = counter("penstock_unlisted_total")\n'
        'B = counter("penstock_broker_errors_total")\n'
        'C, D = gauge("penstock_tail_clients"), gauge("penstock_tail_clients")\n'
    )
    found = {(finding.where, finding.what) for finding in lint_metrics(load(copy), copy.parent)}
    assert ("libs/made.py:2", "penstock_unlisted_total is not in metrics.yaml") in found
    assert ("libs/made.py:3", "penstock_broker_errors_total is listed as a counter with ['kind']") in found
    assert ("libs/made.py:4", "penstock_tail_clients is made at libs/made.py:4 too") in found
    unused = {where for where, what in found if what == "no source makes this metric"}
    made = {"penstock_broker_errors_total", "penstock_tail_clients"}
    assert unused == {f"metrics.yaml {name}" for name in LISTED.keys() - made}


def _makers(graph: grimp.ImportGraph) -> list[str]:
    """The modules that make metrics."""
    return sorted(
        module
        for module in graph.modules
        if module.endswith(".metrics") and module != "penstock.telemetry.metrics"  # that one registers them
    )


def _source(module: str) -> str:
    base = ROOT / "libs" / module.replace(".", "/")
    return base.with_suffix(".py").read_text(encoding="utf-8")
