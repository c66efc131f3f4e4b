"""penstock search, similar, anomalies, get, timeline: requests to the HTTP API."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.cli.client import ask
from penstock.cli.show import print_hits, print_json
from penstock.errors import Refused
from penstock.events import is_key

app = typer.Typer()

Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="look only here; may be given several times")]
Types = Annotated[list[str] | None, typer.Option("--type", help="only this type; may be given several times")]
From = Annotated[str | None, typer.Option("--from", help="of the event's time, like 2026-11-21T00:00:00Z; inclusive")]
To = Annotated[str | None, typer.Option("--to", help="of the event's time; exclusive")]
Entity = Annotated[str | None, typer.Option(help="host, service, session, … that the event is about")]
Size = Annotated[int, typer.Option("--size", "-n", min=1, max=100)]
Cursor = Annotated[str | None, typer.Option(help="of the page before")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]

_CONDITION = re.compile(r"(@?[\w.]+)(>=|<=|=|>|<|\^)(.*)", re.DOTALL)
_OPERATORS = {"=": "eq", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "^": "prefix"}


@app.command()
def search(
    text: Annotated[str | None, typer.Argument(help='words that must all be there, "quoted phrases", -without')] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", "-w", help="level=error, @publisher=shop, value>=0.5, logger^org.")
    ] = None,
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    since: From = None,
    until: To = None,
    sort: Annotated[str | None, typer.Option(help="time, relevance or anomaly")] = None,
    boost: Annotated[float | None, typer.Option(help="0 to 10: how much unusual events move up")] = None,
    size: Size = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """Find events by words and conditions."""
    body = {
        "text": text,
        "filters": [condition(each) for each in where or []],
        "datasets": datasets,
        "types": types,
        "entity": entity,
        "time": _range(since, until),
        "sort": sort,
        "boost_anomaly": boost,
        "size": size,
        "cursor": cursor,
    }
    page = ask("POST", "/v1/search", body=_given(body))
    print_json(page) if as_json else print_hits(page, score="relevance" if text else "")


@app.command()
def similar(
    to: Annotated[str, typer.Argument(help="an event's key, or a text")],
    datasets: Datasets = None,
    types: Types = None,
    since: From = None,
    until: To = None,
    distinct: Annotated[bool, typer.Option(help="of events with the same pattern only one")] = True,
    size: Size = 20,
    as_json: AsJson = False,
) -> None:
    """Find the events that are most like an event or a text."""
    by = {"key": to} if is_key(to) else {"text": to}
    body = {
        "datasets": datasets,
        "types": types,
        "time": _range(since, until),
        "one_per_pattern": distinct,
        "size": size,
    }
    page = ask("POST", "/v1/similar", body=_given(by | body))
    print_json(page) if as_json else print_hits(page, score="likeness")


@app.command()
def anomalies(
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    since: From = None,
    until: To = None,
    min_score: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    distinct: Annotated[bool, typer.Option(help="of events with the same pattern only one; one page")] = False,
    size: Size = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """Show the most unusual events."""
    params = {
        "dataset": datasets,
        "type": types,
        "entity": entity,
        "from": since,
        "to": until,
        "min_score": min_score,
        "one_per_pattern": distinct or None,
        "size": size,
        "cursor": cursor,
    }
    page = ask("GET", "/v1/anomalies", params=_given(params))
    print_json(page) if as_json else print_hits(page)


@app.command()
def get(key: Annotated[str, typer.Argument(help="an event's key")]) -> None:
    """Show one stored record, as JSON."""
    print_json(ask("GET", f"/v1/events/{key}"))


@app.command()
def timeline(
    entity: Annotated[str, typer.Argument(help="host, service, session, …")],
    datasets: Datasets = None,
    since: From = None,
    until: To = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """Show what one entity did, newest first."""
    params = {"entity": entity, "dataset": datasets, "from": since, "to": until, "limit": limit, "cursor": cursor}
    page = ask("GET", "/v1/timeline", params=_given(params))
    if as_json:
        print_json(page)
        return
    table = Table("time", "type", "event", "key", box=None, header_style="dim", pad_edge=False)
    for entry in page["entries"]:
        table.add_row(entry["time"][:23].replace("T", " "), entry["type"], escape(entry["summary"]), entry["key"])
    console = Console()
    console.print(table)
    if page.get("cursor"):
        console.print(f"[dim]more: --cursor {page['cursor']}[/]", soft_wrap=True)


def condition(text: str) -> dict[str, Any]:
    """A condition as /v1/search takes it, e.g. `level=error`; several values with commas. Raises QUERY_INVALID."""
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise Refused("QUERY_INVALID", f"{text!r} is not like level=error, value>=0.5 or logger^org.")
    field, sign, value = match.groups()
    if sign == "=" and value == "*":
        return {"field": field, "op": "exists"}
    if sign == "=" and "," in value:
        return {"field": field, "op": "in", "value": [_value(each) for each in value.split(",")]}
    return {"field": field, "op": _OPERATORS[sign], "value": value if sign == "^" else _value(value)}


def _value(text: str) -> str | int | float | bool:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _range(since: str | None, until: str | None) -> dict[str, str] | None:
    return _given({"from": since, "to": until}) or None


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, [])}
