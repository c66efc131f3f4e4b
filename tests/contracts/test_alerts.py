"""The alert rules are valid for the real promtool; each fires while its objective is broken, and clears afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.contract_check.lint_metrics import lint_metrics
from penstock.contracts import load
from tests.contracts.conftest import Edit, set_member
from tests.support.prometheus import RULES

ROOT = Path(__file__).resolve().parents[2]
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
DURABLE = 'penstock_ingress_durable{{instance="{}"}}'
LAG = 'penstock_consumer_lag_seconds{{stream="EVENTS_HTTP",consumer="{}",instance="worker"}}'
STALLED = 'penstock_stream_consumer_stalled_seconds{{stream="EVENTS_NATS",consumer="{}",instance="operator"}}'
# 40 minutes of fault after 10 good ones, then none. One sample a minute. An ack floor that stands still for a minute is
# what one publisher of bad messages leads to, and no fault of the service.
FAULTS: dict[str, dict[str, str]] = {
    "accepted_is_durable": {DURABLE.format("a"): "1x1300", DURABLE.format("b"): "1x9 0x40 1x1300"},
    "indexed_within_10s": {LAG.format("indexer"): "0x9 11x40 9x1300", STALLED.format("indexer"): "60x1300"},
    "scored_within_30s": {LAG.format("scorer_3"): "29x1300", STALLED.format("scorer_4"): "60x9 121x40 60x1300"},
}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)"
)


def run(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_the_rules_are_valid() -> None:
    run("check", "rules", RULES)


def test_every_alert_links_to_a_page_that_exists() -> None:
    assert len(ALERTS) == 3 * len(load().objectives)
    for alert in ALERTS.values():
        assert (ROOT / alert["annotations"]["runbook_url"]).is_file()


@promtool
def test_each_alert_fires_while_its_objective_is_broken_and_clears_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "alerts_test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "2m", "tests": [scenario(), unmeasured()]})
    )
    run("test", "rules", file)


def test_an_objective_measured_by_an_unknown_metric_or_without_a_page_is_found(copy: Path, edit: Edit) -> None:
    edit("objectives.yaml", set_member("indexed_within_10s", "broken", to="max(penstock_surprise)"))
    edit("objectives.yaml", set_member("scored_within_30s", "runbook", to="none.md"))
    (copy.parent / "docs").mkdir()
    found = {(finding.where, finding.what) for finding in lint_metrics(load(copy), copy.parent)}
    assert ("objectives.yaml indexed_within_10s", "penstock_surprise is not in metrics.yaml") in found
    assert ("objectives.yaml scored_within_30s", "docs/runbooks has no none.md") in found


def scenario() -> dict[str, Any]:
    """Quiet at first; page and ticket during the fault, only the ticket 70 minutes after it, neither after 9 hours."""
    assert {rule["labels"]["objective"] for rule in ALERTS.values()} == FAULTS.keys()
    expected = [
        {"eval_time": time, "alertname": name, "exp_alerts": [_as_fired(rule)] if firing & burns(rule) else []}
        for time, firing in (("8m", set()), ("45m", {"page", "ticket"}), ("120m", {"ticket"}), ("10h", set()))
        for name, rule in ALERTS.items()
    ]
    inputs = [{"series": name, "values": values} for series in FAULTS.values() for name, values in series.items()]
    return {"interval": "1m", "input_series": inputs, "alert_rule_test": expected}


def unmeasured() -> dict[str, Any]:
    """Without any series each objective is said to be unmeasured after five minutes, and nothing else fires."""
    expected = [
        {"eval_time": time, "alertname": name, "exp_alerts": [_as_fired(rule)] if fires and not burns(rule) else []}
        for time, fires in (("4m", False), ("10m", True))
        for name, rule in ALERTS.items()
    ]
    return {"interval": "1m", "alert_rule_test": expected}


def burns(rule: dict[str, Any]) -> set[str]:
    """The severity of an alert about a budget; empty for one about a series that is not there."""
    return set() if rule["alert"].endswith("Unmeasured") else {rule["labels"]["severity"]}


def _as_fired(rule: dict[str, Any]) -> dict[str, Any]:
    return {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
