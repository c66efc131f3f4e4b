"""Prints records and hits on the terminal, each with time, entity and text."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.contracts import dig, load

_ANOMALY = ((0.999, "bold red"), (0.99, "red"), (0.95, "yellow"))


def print_json(body: Any) -> None:
    """One line of JSON."""
    print(json.dumps(body, ensure_ascii=False))


def print_hits(page: dict[str, Any], *, score: str = "") -> None:
    """The hits of a page, the key under each; `score` is the title of the column with their score, "" for none."""
    table = Table(*([score] if score else []), "unusual", "time", "event", box=None, header_style="dim", pad_edge=False)
    table.columns[-2].no_wrap = True
    table.columns[-1].overflow = "fold"
    for hit in page["hits"]:
        row = []
        if score:
            row.append("" if hit.get("score") is None else f"{hit['score']:.3f}")
        moment = hit["time"][:19].replace("T", " ")
        event = f"[cyan]{escape(hit['entity'][:32])}[/] {_text(hit)}\n[dim]{hit['key']}[/]"
        table.add_row(*row, _anomaly(hit.get("anomaly")), moment, event)
    console = Console()
    console.print(table if page["hits"] else "nothing found")
    total = page.get("total")
    if total:
        console.print(f"[dim]{'at least ' if total['relation'] == 'gte' else ''}{total['value']:,} found[/]")
    if page.get("cursor"):
        console.print(f"[dim]next page: --cursor {page['cursor']}[/]", soft_wrap=True)


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


def record_line(record: dict[str, Any]) -> str:
    """A record as one line, with colours."""
    moment = record["time"][:23].replace("T", " ")
    return f"[dim]{moment}[/] [cyan]{escape(record['entity'])}[/] {escape(summary(record))}"


def _text(hit: dict[str, Any]) -> str:
    marked = next((texts[0] for texts in (hit.get("highlight") or {}).values() if texts), None)
    if marked is not None:
        # The index escapes the text for HTML and marks the words that were found in it.
        plain = escape(unescape(marked.replace("<em>", "\1").replace("</em>", "\2")))
        return plain.replace("\1", "[bold green]").replace("\2", "[/]")
    if hit.get("record"):
        return escape(summary(hit["record"])[:400])
    return escape((hit.get("anomaly") or {}).get("pattern") or hit["type"])


def _anomaly(anomaly: dict[str, Any] | None) -> str:
    if anomaly is None:
        return "[dim]-[/]"
    style = next((style for bound, style in _ANOMALY if anomaly["score"] >= bound), "")
    text = f"{anomaly['score']:.4f}"
    return f"[{style}]{text}[/]" if style else text
