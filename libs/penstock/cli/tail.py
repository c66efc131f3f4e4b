"""penstock tail: follows events as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.console import Console

from penstock.cli.client import api_url, headers, raise_for, unreachable
from penstock.cli.search import AsJson, Datasets, Entity, Types
from penstock.cli.show import print_json, record_line

app = typer.Typer()

SILENCE = 45.0  # seconds; the API sends a heartbeat every 15


@app.command()
def tail(
    datasets: Datasets = None,
    types: Types = None,
    entity: Entity = None,
    most: Annotated[int | None, typer.Option("--most", "-n", min=1, help="Stop after this many events.")] = None,
    as_json: AsJson = False,
) -> None:
    """Follow events as they are stored, until Ctrl-C."""
    params = {"dataset": datasets, "type": types, "entity": entity}
    console = Console(highlight=False, soft_wrap=True)
    seen = 0
    try:
        for kind, body in follow({name: value for name, value in params.items() if value}):
            if kind == "gap":
                missed = "some" if body["dropped"] is None else f"{body['dropped']:,}"
                Console(stderr=True).print(f"[yellow]{missed} events were skipped here[/]")
            elif kind == "event":
                print_json(body) if as_json else console.print(record_line(body))
                seen += 1
                if seen == most:
                    return
    except KeyboardInterrupt:
        return


def follow(params: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The server-sent events: (kind, data). Raises PenstockError if the API refuses or cannot be reached."""
    timeout = httpx.Timeout(10.0, read=SILENCE)
    try:
        with httpx.stream("GET", f"{api_url()}/v1/tail", params=params, headers=headers(), timeout=timeout) as response:
            if not response.is_success:
                response.read()
            raise_for(response)
            yield from parse(response.iter_lines())
    except httpx.TransportError as error:
        raise unreachable(error) from None


def parse(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events from their lines."""
    kind, data = "message", ""
    for line in lines:
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data += line[6:]
        elif not line and data:
            yield kind, orjson.loads(data)
            kind, data = "message", ""
