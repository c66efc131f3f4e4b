"""penstock up, down, status, clean: the local stack."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

try:
    from stack import status as stack_status
    from stack import up as stack_up
    from stack.place import Place
except ModuleNotFoundError as missing:  # the production images have no local stack
    raise ModuleNotFoundError("the local stack needs the extra `stack`", name=__name__) from missing

app = typer.Typer()


class Progress:
    """A table that grows while parts start: part, what it is doing, seconds."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[str, float]] = {}
        self.live = Live(console=Console(stderr=True), refresh_per_second=8, get_renderable=self._table)

    def __call__(self, part: str, doing: str, seconds: float) -> None:
        self.parts[part] = (doing, seconds)
        if not self.live.console.is_terminal:
            self.live.console.print(f"{part}: {doing} ({seconds:.1f} s)")

    def __enter__(self) -> Progress:
        if self.live.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live.is_started:
            self.live.stop()

    def _table(self) -> Table:
        table = Table(box=None, show_header=False)
        for part, (doing, seconds) in list(self.parts.items()):
            colour = {"ready": "green", "stopped": "green", "failed": "red"}.get(doing, "yellow")
            table.add_row(part, f"[{colour}]{doing}[/]", f"{seconds:.1f} s" if doing in ("ready", "stopped") else "")
        return table


@app.command()
def up(servers: bool = typer.Option(False, "--servers", help="only NATS, Elasticsearch and Cassandra")) -> None:
    """Start the local stack; does nothing to what runs already."""
    place = Place()
    with Progress() as progress:
        stack_up.up(place, progress, servers_only=servers)
    print(f"up, with state in {place.state} and ports from {place.port_base}; `penstock status` shows more")


@app.command()
def down() -> None:
    """Stop every process of the local stack; the data stays."""
    with Progress() as progress:
        stack_up.down(Place(), progress)


@app.command()
def clean(yes: bool = typer.Option(False, "--yes", "-y", help="do not ask")) -> None:
    """Stop the local stack and delete its data, logs and passwords."""
    place = Place()
    if not yes:
        typer.confirm(f"delete everything in {place.state}?", abort=True)
    with Progress() as progress:
        stack_up.clean(place, progress)


@app.command()
def status(json: bool = typer.Option(False, "--json", help="for programs")) -> None:
    """Say what runs, on which ports, since when and how large; exit status 1 if something is down."""
    parts = stack_status.status(Place())
    if json:
        print(stack_status.as_json(parts))
    else:
        table = Table("part", "state", "pid", "ports", "up", "memory", box=None)
        for part in parts:
            table.add_row(*part.row())
        Console().print(table)
    if any(part.state != "ready" for part in parts):
        raise typer.Exit(1)
