"""penstock search, similar, anomalies, get, timeline: queries over the API."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from penstock.cli.client import ask
from penstock.cli.console import print_json
from penstock.cli.moments import moment
from penstock.cli.show import print_hits, print_timeline
from penstock.errors import Refused
from penstock.events import is_key

app = typer.Typer()

Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="Only this dataset; repeatable.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only this event type; repeatable.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        callback=moment,
        help="Earliest event time: a day like 2026-11-21 here, or a time like 2026-11-21T00:00:00Z; inclusive.",
    ),
]
To = Annotated[str | None, typer.Option("--to", callback=moment, help="Latest event time, as --from; exclusive.")]
Entity = Annotated[str | None, typer.Option(help="Host, service, session, … that the event is about.")]
Size = Annotated[int, typer.Option("--size", "-n", min=1, max=100, help="Events per page.")]
Cursor = Annotated[str | None, typer.Option(help="Cursor that the previous page printed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_CONDITION = re.compile(r"(@?[\w.]+)(>=|<=|=|>|<|\^)(.*)", re.DOTALL)
_OPERATORS = {"=": "eq", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "^": "prefix"}


@app.command()
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]", help='Words that must all occur, "quoted phrases", -excluded (after --).'),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            "-w",
            help="Filter like level=error, @publisher=shop, value>=0.5 or logger^org. (prefix); repeatable.",
        ),
    ] = None,
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    since: From = None,
    until: To = None,
    sort: Annotated[str | None, typer.Option(help="time, relevance or anomaly.")] = None,
    boost: Annotated[float | None, typer.Option(help="How much unusual events move up: 0 to 10.")] = None,
    size: Size = 20,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """Search events by text and filters."""
    text = " ".join(words or []) or None
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
    words: Annotated[list[str], typer.Argument(metavar="TO", help="Key of an event, or a text.")],
    datasets: Datasets = None,
    types: Types = None,
    since: From = None,
    until: To = None,
    distinct: Annotated[bool, typer.Option(help="Only one event per pattern.")] = True,
    size: Size = 20,
    as_json: AsJson = False,
) -> None:
    """Find the events most similar to an event or a text."""
    to = " ".join(words)
    by = {"key": to} if is_key(to) else {"text": to}
    body = {
        "datasets": datasets,
        "types": types,
        "time": _range(since, until),
        "one_per_pattern": distinct,
        "size": size,
    }
    page = ask("POST", "/v1/similar", body=_given(by | body))
    print_json(page) if as_json else print_hits(page, score="similarity")


@app.command()
def anomalies(
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    since: From = None,
    until: To = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Least anomaly score.")] = 0.0,
    distinct: Annotated[bool, typer.Option(help="Only one event per pattern, on one page.")] = False,
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
def get(key: Annotated[str, typer.Argument(help="Key of the event.")]) -> None:
    """Show one stored event as JSON."""
    print_json(ask("GET", f"/v1/events/{key}"))


@app.command()
def timeline(
    entity: Annotated[str, typer.Argument(help="Host, service, session, …")],
    datasets: Datasets = None,
    since: From = None,
    until: To = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Events per page.")] = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of one entity, newest first."""
    params = {"entity": entity, "dataset": datasets, "from": since, "to": until, "limit": limit, "cursor": cursor}
    page = ask("GET", "/v1/timeline", params=_given(params))
    if as_json:
        print_json(page)
        return
    print_timeline(page)


def condition(text: str) -> dict[str, Any]:
    """A condition as /v1/search takes it, e.g. `level=error`; several values with commas. Raises QUERY_INVALID.

    Values are sent as text: the type of the field decides what they are.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise Refused("QUERY_INVALID", f"{text!r} is not like level=error, value>=0.5 or logger^org.")
    field, sign, value = match.groups()
    if sign == "=" and value == "*":
        return {"field": field, "op": "exists"}
    if sign == "=" and "," in value:
        return {"field": field, "op": "in", "value": value.split(",")}
    return {"field": field, "op": _OPERATORS[sign], "value": value}


def _range(since: str | None, until: str | None) -> dict[str, str] | None:
    return _given({"from": since, "to": until}) or None


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, [])}
