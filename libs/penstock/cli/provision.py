"""penstock provision: streams, consumers and buckets from contracts/."""

from __future__ import annotations

import json as jsonlib

import typer

from penstock.provisioning.provision import Report, run

app = typer.Typer()


@app.command()
def provision(
    json: bool = typer.Option(False, "--json", help="for programs"),
    dry_run: bool = typer.Option(False, "--dry-run", help="say what would change, change nothing"),
    replicas: int = typer.Option(1, min=1, max=5, help="copies of each stream, in a cluster 3"),
) -> None:
    """Make the broker match contracts/streams.yaml; running it again mends what was changed by hand."""
    report = run(dry_run=dry_run, replicas=replicas)
    if json:
        print(jsonlib.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)


def print_report(report: Report) -> None:
    """One line a change, then a count."""
    for change in report.changes:
        said = ", ".join(f"{name} {old!r} → {new!r}" for name, (old, new) in change.properties.items())
        print(f"{change.action} {change.kind} {change.name}" + (f": {said}" if said else ""))
    for name in report.unknown:
        print(f"not in the contracts, left alone: {name}")
    verb = "would change" if report.dry_run else "changed"
    print(f"{verb} {len(report.changes)}, {report.unchanged} as they should be")
