"""All checks of contracts/ in one: files, event and record types, datasets, references, examples, releases, renders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from penstock.contract_check import (
    compatibility,
    lint_events,
    lint_examples,
    lint_files,
    lint_metrics,
    lint_records,
    lint_references,
    releases,
    render,
)
from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts, load
from penstock.errors import Refused


@dataclass(slots=True)
class Report:
    """What was found; `compared_with` is the release, or None when nothing is released yet."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared_with: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON members."""
        return {
            "ok": not self.findings,
            "compared_with": self.compared_with,
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": self.notes,
        }


def check(root: Path, base: str | None = None) -> Report:
    """Checks the contracts folder `root`; `base` is the commit to compare with instead of the last release."""
    report = Report(findings=list(lint_files.lint_files(root)))
    if report.findings:
        return report
    try:
        contracts = load(root)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        report.findings.append(
            Finding(root.name, "unreadable", " ".join(str(error).split()), "Correct the member that is named.")
        )
        return report
    report.findings += sorted(set(_findings(contracts)))
    _compare(root, base, report)
    return report


def _findings(contracts: Contracts) -> Iterator[Finding]:
    types = list(lint_events.lint_types(contracts))
    yield from types
    if any(finding.rule.startswith("schema-") for finding in types):
        return  # without a valid schema, nothing more can be said
    yield from lint_events.lint_datasets(contracts)
    yield from lint_references.lint_identities(contracts)
    yield from lint_references.lint_services(contracts)
    yield from lint_references.lint_error_codes(contracts, contracts.root.parent)
    yield from lint_metrics.lint_metrics(contracts, contracts.root.parent)
    yield from lint_examples.lint_examples(contracts)
    yield from lint_records.lint_records(contracts)
    try:
        yield from render.stale(contracts)
    except (KeyError, AttributeError) as error:
        yield Finding("generated", "stale", f"cannot be made: {error}", "Fix the other findings first.")


def _compare(root: Path, base: str | None, report: Report) -> None:
    try:
        released = releases.last_release(root, base)
    except Refused as error:
        next_step = "Run `git fetch --tags --unshallow`."
        report.findings.append(Finding(root.name, "release-unknown", error.detail, next_step))
        return
    if released is not None:
        findings, report.notes = compatibility.compare(released, releases.working_tree(root))
        report.findings += findings
        report.compared_with = released.name
