"""penstock key create, list, revoke: bearer keys of the HTTP door. What is made or ended goes onto the audit trail."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from penstock import atomic_file
from penstock.audit import record
from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.cli.client import key_path
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.events import timestamps
from penstock.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Bearer keys of the HTTP door.")

WARDEN = "warden"
REACH_SECONDS = 5.0
Untold = Annotated[bool, typer.Option("--untold", help="also without the broker, and then not on the audit trail")]
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
    untold: Untold = False,
    as_json: As_json = False,
) -> None:
    """Make a key. It is shown once and kept only as a hash."""
    now_ns = time.time_ns()
    chosen = _names(roles) or [*(["sender"] if types else []), *(["reader"] if datasets else [])]
    text, key = api_keys.create(
        load_settings().keys,
        load(),
        identity=identity,
        datasets=_names(datasets),
        types=_names(types),
        roles=chosen,
        expires_at=None if days is None else timestamps.text(now_ns + int(days * 86_400e9)),
        now_ns=now_ns,
        told=lambda key: _tell("key_created", key, untold),
    )
    if save:
        atomic_file.replace(key_path(), text + "\n")
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
    found = api_keys.read(load_settings().keys)
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
def revoke(id: Annotated[str, typer.Argument(help="as `penstock key list` shows it")], untold: Untold = False) -> None:
    """End a key; every door closes to it within a second."""
    key = api_keys.revoke(
        load_settings().keys, id, now_ns=time.time_ns(), told=lambda key: _tell("key_revoked", key, untold)
    )
    print(f"key {key.id} of {key.identity} is revoked")


def _tell(what: str, key: api_keys.Key, untold: bool) -> None:
    """Returns when it is on the trail. Raises Unavailable, Refused; nothing where it need not be."""
    granted = {name: sorted(getattr(key, name)) for name in ("roles", "datasets", "types")}
    about: dict[str, Any] = {"identity": key.identity, "key": key.id, "expires": key.expires_at, **granted}

    async def publish() -> None:
        broker = await connect_as(WARDEN, load_settings(), patience=REACH_SECONDS)
        try:
            await record.write(broker, what, getpass.getuser(), **about)
        finally:
            await broker.drain()

    try:
        asyncio.run(publish())
    except PenstockError as error:
        if not untold:
            raise
        print(f"not on the audit trail: {error.detail}", file=sys.stderr)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
