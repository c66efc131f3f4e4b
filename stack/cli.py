"""penstock up, down, status, clean, demo, fetch: the local stack."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from penstock.cli.console import print_line, print_table
from penstock.stack import cassandra, elasticsearch
from penstock.stack import demo as stack_demo
from penstock.stack import status as stack_status
from penstock.stack import up as stack_up
from penstock.stack.place import Place
from penstock.stack.progress import Progress

app = typer.Typer()


@app.command()
def up(
    servers: Annotated[bool, typer.Option("--servers", help="Only NATS, Elasticsearch and Cassandra.")] = False,
) -> None:
    """Start the local stack; processes already running are left alone."""
    place = Place()
    with Progress() as progress:
        stack_up.up(place, progress, servers_only=servers)
    print(f"the stack is running: state in {place.state}, ports from {place.port_base}, API at {_url(place)}")


@app.command()
def down() -> None:
    """Stop every process of the local stack; the data is kept."""
    with Progress() as progress:
        stack_up.down(Place(), progress)


@app.command()
def clean(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False) -> None:
    """Stop the local stack and delete its data, logs and passwords."""
    place = Place()
    if not yes:
        typer.confirm(f"delete everything in {place.state}?", abort=True)
    with Progress() as progress:
        stack_up.clean(place, progress)


@app.command()
def url(ingress: Annotated[bool, typer.Option("--ingress", help="That of the ingress itself.")] = False) -> None:
    """Print the address of the local stack's API, through its edge."""
    print(_url(Place(), ingress=ingress))


@app.command()
def status(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show processes with ports, uptime and size; exit 1 if any is not ready."""
    parts = stack_status.status(Place())
    if json:
        print(stack_status.as_json(parts))
    else:
        headers = ("process", "state", "pid", "ports", "up", "memory")
        print_table(headers, [part.row() for part in parts], empty="no processes", whole=("process", "state"))
        for part in parts:
            if part.says:
                print_line(f"{part.name}: {part.says}")
    if any(part.state != "ready" for part in parts):
        raise typer.Exit(1)


@app.command()
def demo(
    files: Annotated[list[str] | None, typer.Argument(help="Log files. Default: the logs of this machine.")] = None,
) -> None:
    """Send log files through the running stack, count their lines in every store, and query them."""
    stack_demo.run(Place(), files or [], Console())


@app.command()
def fetch() -> None:
    """Download the Java servers' jars if missing (`up` does this automatically)."""
    place = Place()
    elasticsearch.home(place)
    cassandra.home(place)


def _url(place: Place, *, ingress: bool = False) -> str:
    if ingress or place.edge == "off":
        return f"http://127.0.0.1:{place.local_port('ingress')}"
    return f"https://127.0.0.1:{place.local_port('edge')}"
