"""`penstock contracts`: checks contracts/ and generates what is derived from it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from penstock.contract_check import check as checks
from penstock.contract_check import render as renderer
from penstock.contracts import find_root, load

app = typer.Typer(help="Check contracts/ and generate what is derived from it.", no_args_is_help=True)
contracts_app = app

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OnlyCheck = Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is out of date.")]
Base = Annotated[str | None, typer.Option(help="Compare with this commit instead of the newest tag v*.")]


@app.command()
def check(as_json: Json = False, base: Base = None) -> None:
    """Check contracts/ for errors and for incompatible changes; exit 1 if there are any.

    Changes are judged against the newest tag `v*` that HEAD descends from; without one nothing is released yet.
    """
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
    """Generate contracts/generated/ and the tables of README.md."""
    contracts = load(find_root())
    if only_check:
        findings = list(renderer.stale(contracts))
        for finding in findings:
            typer.echo(str(finding))
        raise typer.Exit(bool(findings))
    for path in renderer.write(contracts):
        typer.echo(path.relative_to(contracts.root.parent).as_posix())
