"""Prints records and hits on the terminal, each with time, entity and text."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from rich.text import Text

from penstock.cli.console import Cell, console, print_line, print_table
from penstock.cli.printable import shown
from penstock.contracts import dig, load

MOST_SHOWN = 400  # characters of an event's text in a table on a terminal; a pipe gets all
_MARK = re.compile("</?em>")
_ANOMALY = ((0.999, "bold red"), (0.99, "red"), (0.95, "yellow"))


def print_hits(page: dict[str, Any], *, score: str = "") -> None:
    """The hits of a page with their keys; `score` is the title of the column with their score, "" for none."""
    on_terminal = console().is_terminal
    rows: list[list[Cell]] = []
    for hit in page["hits"]:
        row: list[Cell] = []
        if score:
            row.append("" if hit.get("score") is None else f"{hit['score']:.3f}")
        row += [_anomaly(hit.get("anomaly")), hit["time"][:19].replace("T", " ")]
        rows.append([*row, _on_terminal(hit)] if on_terminal else [*row, hit["key"], hit["entity"], _text(hit).plain])
    headers = [
        *([score] if score else []),
        "unusual",
        "time",
        *(["event"] if on_terminal else ["key", "entity", "event"]),
    ]
    print_table(headers, rows, empty="nothing found", whole=("unusual", score))
    total = page.get("total")
    if total:
        print_line(f"{'at least ' if total['relation'] == 'gte' else ''}{total['value']:,} found", style="dim")
    next_page(page)


def print_timeline(page: dict[str, Any]) -> None:
    """The entries of a timeline with their keys."""
    on_terminal = console().is_terminal
    rows: list[list[Cell]] = []
    for entry in page["entries"]:
        moment, text = entry["time"][:23].replace("T", " "), _indented(entry["summary"])
        if on_terminal:
            rows.append([moment, with_key(Text(text), f"{entry['key']} {entry['type']}")])
        else:
            rows.append([moment, entry["type"], entry["key"], entry["summary"]])
    headers = ["time", "event"] if on_terminal else ["time", "type", "key", "event"]
    print_table(headers, rows, empty=f"no events of {page['entity']}", whole=("time",))
    next_page(page)


def next_page(page: dict[str, Any]) -> None:
    """How to get what follows, if anything does."""
    if page.get("cursor"):
        print_line(f"next page: --cursor {page['cursor']}", style="dim")


def with_key(text: Text, key: str) -> Text:
    """The text, and under it the key of the event, which is needed whole."""
    return Text.assemble(text, "\n", (key, "dim"))


def summary(record: dict[str, Any]) -> str:
    """A line of text about a stored record: the searched members of its data."""
    event = record["event"]
    data = event.get("data", {})
    known = load().types.get(event.get("type", ""))
    if "message" in data:
        head = " ".join(str(data[name]) for name in ("level", "process", "logger") if data.get(name))
        return f"{head}: {data['message']}" if head else str(data["message"])
    paths = known.search_paths if known else ()
    found = [str(value) for path in paths if isinstance(value := dig(data, path), str | int | float) and value != ""]
    return " · ".join(found) or json.dumps(data, ensure_ascii=False)[:500]


def record_line(record: dict[str, Any]) -> Text:
    """A record as one line, with colours."""
    moment, entity = record["time"][:23].replace("T", " "), shown(record["entity"])
    return Text.assemble((moment, "dim"), " ", (entity, "cyan"), " ", _indented(summary(record)))


def _on_terminal(hit: dict[str, Any]) -> Text:
    text = _text(hit)
    if len(text) > MOST_SHOWN:
        text = Text.assemble(text[:MOST_SHOWN], "…")
    return with_key(Text.assemble((shown(hit["entity"]), "cyan"), " ", text), hit["key"])


def _text(hit: dict[str, Any]) -> Text:
    marked = next((texts[0] for texts in (hit.get("highlight") or {}).values() if texts), None)
    if marked is not None:
        # The index escapes the text for HTML and marks the words that were found in it.
        text = Text()
        for number, part in enumerate(_MARK.split(marked)):
            text.append(_indented(unescape(part)), style="bold green" if number % 2 else None)
        return text
    if hit.get("record"):
        return Text(_indented(summary(hit["record"])))
    return Text(_indented((hit.get("anomaly") or {}).get("pattern") or hit["type"]))


def _indented(text: str) -> str:
    """Lines behind the first stand in from it, so that no event looks like two."""
    return shown(text, lines=True).replace("\n", "\n    ")


def _anomaly(anomaly: dict[str, Any] | None) -> Text:
    if anomaly is None:
        return Text("-", style="dim")
    style = next((style for bound, style in _ANOMALY if anomaly["score"] >= bound), "")
    return Text(f"{anomaly['score']:.4f}", style=style)
