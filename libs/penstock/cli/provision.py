"""penstock provision: streams, consumers and buckets from contracts/."""

from __future__ import annotations

import json as jsonlib

import typer

from penstock.provisioning.provision import Report, run

app = typer.Typer()


@app.command()
def provision(
    json: bool = typer.Option(False, "--json", help="Print JSON."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Print what would change, and change nothing."),
    replicas: int = typer.Option(1, min=1, max=5, help="Replicas of each stream; 3 in a cluster."),
) -> None:
    """Create or update streams on NATS to match contracts/streams.yaml; rerun to undo manual changes."""
    report = run(dry_run=dry_run, replicas=replicas)
    if json:
        print(jsonlib.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)


def print_report(report: Report) -> None:
    """One line per change, then a count."""
    for change in report.changes:
        said = ", ".join(f"{name} {old!r} → {new!r}" for name, (old, new) in change.properties.items())
        print(f"{change.action} {change.kind} {change.name}" + (f": {said}" if said else ""))
    for name in report.unknown:
        print(f"not in the contracts, left as it is: {name}")
    verb = "would change" if report.dry_run else "changed"
    print(f"{verb} {len(report.changes)}, {report.unchanged} up to date")
