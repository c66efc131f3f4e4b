"""penstock key create, list, revoke: API keys. Each one created or revoked is recorded in the audit trail."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from penstock import atomic_file
from penstock.audit import record
from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.cli.client import key_path
from penstock.cli.console import Cell, print_table
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.events import timestamps
from penstock.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Manage API keys.")

WARDEN = "warden"
REACH_SECONDS = 5.0
Offline = Annotated[bool, typer.Option("--offline", help="Without NATS, and then without an audit record.")]
As_json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def create(
    identity: Annotated[
        str, typer.Option(help="Publisher of the events sent with the key: a-z, 0-9 and _, with a letter first.")
    ],
    datasets: Annotated[str, typer.Option(help="Datasets it may read, comma-separated; * for all.")] = "",
    types: Annotated[str, typer.Option(help="Event types it may send, comma-separated; * for all.")] = "",
    roles: Annotated[
        str, typer.Option(help="Comma-separated. Default: sender with --types, reader with --datasets.")
    ] = "",
    days: Annotated[float | None, typer.Option(help="Days until it expires. Default: never.", min=0)] = None,
    save: Annotated[bool, typer.Option(help="Save it for the other commands instead of printing it.")] = False,
    offline: Offline = False,
    as_json: As_json = False,
) -> None:
    """Create a key. It is printed once; only its hash is kept."""
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
        before_write=lambda key: _record("key_created", key, offline),
    )
    if save:
        atomic_file.replace(key_path(), text + "\n")
    console = Console(stderr=True, highlight=False)
    if not key.roles:
        console.print("this key may do nothing yet: create one with --types, --datasets or --roles", style="yellow")
    if as_json:
        print(json.dumps({"key": text, "id": key.id, "identity": key.identity}))
        return
    console.print(f"key {key.id} of {key.identity}, roles: {', '.join(sorted(key.roles)) or 'none'}")
    console.print(f"written to {key_path()}" if save else "printed only once; keep it in a file or in PENSTOCK_KEY:")
    if not save:
        print(text)


@app.command("list")
def list_keys(as_json: As_json = False) -> None:
    """List the keys; the secrets themselves are not kept."""
    now_ns = time.time_ns()
    found = api_keys.read(load_settings().keys)
    for fault in found.faults:
        print(fault, file=sys.stderr)
    if as_json:
        print(json.dumps([key.model_dump(mode="json", exclude={"sha256"}) for key in found.keys]))
        return
    rows: list[tuple[Cell, ...]] = []
    for key in found.keys:
        state = (
            Text("valid", "green") if key.valid_at(now_ns) else Text("revoked" if key.revoked_at else "expired", "red")
        )
        names = (", ".join(sorted(each)) for each in (key.roles, key.datasets, key.types))
        rows.append((key.id, key.identity, *names, key.created_at[:19], state))
    headers = ("id", "identity", "roles", "datasets", "types", "created", "state")
    print_table(headers, rows, empty="no keys; create one: penstock key create", whole=("id", "state"))


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="Id of the key, see `penstock key list`.")], offline: Offline = False
) -> None:
    """Revoke a key: within a second it is refused."""
    key = api_keys.revoke(
        load_settings().keys, id, now_ns=time.time_ns(), before_write=lambda key: _record("key_revoked", key, offline)
    )
    print(f"key {key.id} of {key.identity} is revoked")


def _record(what: str, key: api_keys.Key, offline: bool) -> None:
    """Returns once it is recorded. Raises Unavailable, Refused; with `offline` it only warns."""
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
        if not offline:
            raise
        print(f"not recorded in the audit trail: {error.detail}", file=sys.stderr)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
