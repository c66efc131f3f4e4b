"""penstock reconcile: what the streams accepted, compared with what Elasticsearch and Cassandra hold of it.

Exit codes: 0 nothing differs that is not on its way · 1 something differs, or refused or unavailable, with a code.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from penstock.cli.console import Cell, print_json, print_line, print_table
from penstock.cli.moments import moment
from penstock.cli.options import Json
from penstock.cli.replay_client import ask_once
from penstock.rpc.messages import Reconciliation, StoreDifference

app = typer.Typer()
DAYS = 1  # before today, where no --from is given
DIFFERS = 1
HEADERS = ("dataset", "period", "accepted", "repeated", "dead letters", "indexed", "stored", "older", "difference")


class Per(StrEnum):
    """What is counted together."""

    day = "day"
    hour = "hour"


@app.command()
def reconcile(
    begin: Annotated[
        str | None, typer.Option("--from", help="Earliest time of the events; inclusive. Default: yesterday, UTC.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Latest time of the events; exclusive. Default: an hour ahead.")
    ] = None,
    datasets: Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; repeatable.")] = None,
    per: Annotated[Per, typer.Option(help="What is counted together.")] = Per.day,
    json: Json = False,
) -> None:
    """Compare what was accepted with what both stores hold, by day or hour. Exit code 1: something differs."""
    now = datetime.now(UTC)
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    body = {
        "begin": moment(begin) or first.isoformat(),
        "end": moment(to) or (now + timedelta(hours=1)).isoformat(),
        "datasets": datasets or [],
        "per": per.value,
    }
    found = Reconciliation.model_validate(ask_once("operator", "reconcile", body))
    if json:
        print_json(found.to_json() | {"differs": any(row.differs for row in found.rows)})
    else:
        show(found)
    if any(row.differs for row in found.rows):
        raise typer.Exit(DIFFERS)


def show(found: Reconciliation) -> None:
    """The table, and below it the commands that bring back what is missing."""
    rows: list[tuple[Cell, ...]] = []
    for row in found.rows:
        said = "; ".join(filter(None, (_said("index", row.indexed), _said("store", row.stored))))
        style = "red" if row.differs else "yellow" if said else "green"
        counts = (row.accepted, row.repeated, max(row.indexed.dead_letters, row.stored.dead_letters))
        held = (row.indexed.held, row.stored.held)
        older = f"{row.indexed.older:,}/{row.stored.older:,}" if row.indexed.older or row.stored.older else ""
        numbers = [f"{each:,}" for each in (*counts, *held)]
        rows.append((row.dataset, row.period, *numbers, older, Text(said or "none", style)))
    print_table(HEADERS, rows, empty="no events of this time", whole=("dataset", "period"))
    print_line(f"\nThe streams hold what was accepted since {found.since}; of events accepted before (older), what the")
    print_line("index holds is compared with what the store holds.")
    if found.unreadable:
        print_line(f"{found.unreadable:,} messages of the streams are no events; see `penstock dlq list`.")
    for row in found.rows:
        if row.next:
            print_line(f"\n{row.dataset} {row.period}:")
            for step in row.next:
                print_line(f"  {step}")
    if any(row.next for row in found.rows):
        print_line("\nApply each plan before the next: penstock replay apply <hash> --watch")


def _said(name: str, each: StoreDifference) -> str:
    if each.in_flight:
        return f"{name}: in flight"
    parts = [f"{number:,} {what}" for number, what in ((each.missing, "missing"), (each.extra, "too many")) if number]
    return f"{name}: {', '.join(parts)}" if parts else ""
