"""objectives.yaml → compose/observe/alerts.yaml, rules for Prometheus

Each objective has a recorded series of 0 and 1, and alerts by its burn rate: how many times faster than allowed the
error budget of 30 days is used up. An alert needs the rate over a long window, so that it is not about a moment, and
over a short one, so that it clears soon after the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from penstock.contracts.objectives import Objective

_NOTE = """# Made from contracts/objectives.yaml by `penstock contracts render`; do not edit.
# `runbook_url` is a path in this repository.
"""
_EVERY = "15s"
_BROKEN = "penstock:objective_broken"
_UNMEASURED = "5m"  # without a series, before it is said
# (severity, suffix of the alert's name, [(burn rate, long window, short window)]): a page when 2 % of the budget are
# gone in an hour or 5 % in six, a ticket when 10 % are gone in three days.
_ALERTS = (
    ("page", "BurnsFast", ((14.4, "1h", "5m"), (6.0, "6h", "30m"))),
    ("ticket", "BurnsSlowly", ((1.0, "3d", "6h"),)),
)


def text(objectives: Mapping[str, Objective]) -> str:
    """The text of the file."""
    groups = [{"name": name, "interval": _EVERY, "rules": _rules(name, each)} for name, each in objectives.items()]
    return _NOTE + yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=110)


def _rules(name: str, objective: Objective) -> list[dict[str, Any]]:
    recorded = {"record": _BROKEN, "expr": objective.broken, "labels": {"objective": name}}
    unmeasured = _alert(name, objective, "page", "Unmeasured", "nothing measures it", f"absent({_series(name)})")
    burning = (_burning(name, objective, *each) for each in _ALERTS)
    return [recorded, unmeasured | {"for": _UNMEASURED}, *burning]


def _series(name: str) -> str:
    return f'{_BROKEN}{{objective="{name}"}}'


def _burning(
    name: str, objective: Objective, severity: str, suffix: str, burns: tuple[tuple[float, str, str], ...]
) -> dict[str, Any]:
    budget = 1 - objective.target
    series = _series(name)
    parts = []
    for rate, *windows in burns:
        over = (f"avg_over_time({series}[{window}]) > {rate * budget:.6g}" for window in windows)
        parts.append(f"({' and '.join(over)})")
    return _alert(name, objective, severity, suffix, "the error budget is used up too fast", " or ".join(parts))


def _alert(name: str, objective: Objective, severity: str, suffix: str, what: str, expression: str) -> dict[str, Any]:
    camel = "".join(word.capitalize() for word in name.split("_"))
    return {
        "alert": f"Penstock{camel}{suffix}",
        "expr": expression,
        "labels": {"severity": severity, "objective": name},
        "annotations": {
            "summary": f"{objective.title}: {what}",
            "description": f"{objective.meaning} Target: {objective.target:.1%} of the time.",
            "runbook_url": f"docs/runbooks/{objective.runbook}",
        },
    }
