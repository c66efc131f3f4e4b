"""`penstock contracts`: checks contracts/ and generates what is derived from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from penstock.cli.console import print_json, print_line, print_table
from penstock.cli.shipping import zones
from penstock.cli.shipping.sources import Files, Problems, paths
from penstock.contract_check import check as checks
from penstock.contract_check import render as renderer
from penstock.contract_check.drift_report import drift_of
from penstock.contracts import find_root, load

app = typer.Typer(help="Check contracts/ and generate what is derived from it.", no_args_is_help=True)
contracts_app = app

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OnlyCheck = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is out of date.")]
Drift = Annotated[
    list[str] | None, typer.Option("--drift", help="Files of events, as `penstock send` reads them; repeatable.")
]
Base = Annotated[str | None, typer.Option(help="Compare with this commit instead of the newest tag v*.")]


@app.command()
def check(as_json: Json = False, base: Base = None, drift: Drift = None) -> None:
    """Check contracts/ for errors and for incompatible changes; exit 1 if there are any.

    Changes are judged against the newest tag `v*` that HEAD descends from; without one nothing is released yet. With
    --drift, check events instead, and show where they are not as their types describe them.
    """
    if drift:
        _show_drift(drift, as_json)
        return
    report = checks.check(find_root(), base)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        for finding in report.findings:
            typer.echo(str(finding))
        for note in report.notes:
            typer.echo(f"allowed: {note}")
        against = f"compared with {report.compared_with}" if report.compared_with else "nothing is released yet"
        typer.echo(f"contracts: {len(report.findings)} findings, {against}")
    raise typer.Exit(bool(report.findings))


@app.command()
def render(only_check: OnlyCheck = False) -> None:
    """Generate contracts/generated/, docs/metrics.md, the alert rules and the tables of README.md."""
    contracts = load(find_root())
    if only_check:
        findings = list(renderer.stale(contracts))
        for finding in findings:
            typer.echo(str(finding))
        raise typer.Exit(bool(findings))
    for path in renderer.write(contracts):
        typer.echo(path.relative_to(contracts.root.parent).as_posix())


def _show_drift(files: list[str], as_json: bool) -> None:
    problems = Problems()
    found = drift_of(load(), Files(paths(files, problems), zones.of_machine(), None, problems))
    if as_json:
        print_json({"drift": [asdict(each) for each in found], "problems": problems.found})
    else:
        rows = [(each.type, each.pointer, each.detail, f"{each.count:,}") for each in found]
        print_table(("type", "member", "what differs", "events"), rows, empty="all events are as described")
        for file, reason in problems.found:
            print_line(f"{file}: {reason}", style="red", stderr=True)
    raise typer.Exit(bool(problems.found))
