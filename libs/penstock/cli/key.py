"""penstock key create, list, revoke: bearer keys of the HTTP door."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penstock import keys, timestamps
from penstock.cli.client import key_path
from penstock.contracts import load
from penstock.settings import settings

app = typer.Typer(no_args_is_help=True, help="Bearer keys of the HTTP door.")

As_json = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command()
def create(
    identity: Annotated[str, typer.Option(help="publisher of the events sent with the key: [a-z][a-z0-9_]*")],
    datasets: Annotated[str, typer.Option(help="datasets it may read, with commas; * is all")] = "",
    types: Annotated[str, typer.Option(help="event types it may send, with commas; * is all")] = "",
    roles: Annotated[
        str, typer.Option(help="with commas; default: sender if types, reader if datasets are given")
    ] = "",
    days: Annotated[float | None, typer.Option(help="days until it expires", min=0)] = None,
    save: Annotated[bool, typer.Option(help="also write it where the other commands look for their key")] = False,
    as_json: As_json = False,
) -> None:
    """Make a key. It is shown once and kept only as a hash."""
    now_ns = time.time_ns()
    chosen = _names(roles) or [*(["sender"] if types else []), *(["reader"] if datasets else [])]
    text, key = keys.create(
        settings().keys,
        load(),
        identity=identity,
        datasets=_names(datasets),
        types=_names(types),
        roles=chosen,
        expires_at=None if days is None else timestamps.text(now_ns + int(days * 86_400e9)),
        now_ns=now_ns,
    )
    if save:
        _write(key_path(), text)
    if as_json:
        print(json.dumps({"key": text, "id": key.id, "identity": key.identity}))
        return
    console = Console(stderr=True, highlight=False)
    console.print(f"key {key.id} of {key.identity}, roles: {', '.join(sorted(key.roles)) or 'none'}")
    console.print(f"written to {key_path()}" if save else "shown this once; keep it in a file or in PENSTOCK_KEY:")
    if not save:
        print(text)


@app.command("list")
def list_keys(as_json: As_json = False) -> None:
    """Show the keys, without what opens the door."""
    now_ns = time.time_ns()
    found = keys.read(settings().keys)
    if as_json:
        print(json.dumps([key.model_dump(mode="json", exclude={"sha256"}) for key in found]))
        return
    table = Table("id", "identity", "roles", "datasets", "types", "created", "state", box=None)
    for key in found:
        state = (
            "[red]revoked[/]" if key.revoked_at else "[green]valid[/]" if key.valid_at(now_ns) else "[red]expired[/]"
        )
        names = (", ".join(sorted(each)) for each in (key.roles, key.datasets, key.types))
        table.add_row(key.id, key.identity, *names, key.created_at[:19], state)
    Console().print(table)


@app.command()
def revoke(id: Annotated[str, typer.Argument(help="as `penstock key list` shows it")]) -> None:
    """End a key; every door closes to it within a second."""
    key = keys.revoke(settings().keys, id, now_ns=time.time_ns())
    print(f"key {key.id} of {key.identity} is revoked")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
    draft.replace(path)
