"""penstock identity list, show, deny, allow: the identities, which are denied, and which are connected."""

from __future__ import annotations

import asyncio
import getpass
import json as jsonlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import typer

from penstock.auth.connect import connect_as
from penstock.auth.denials import Denial, Denials, write
from penstock.auth.permissions import permissions_of
from penstock.broker import Broker
from penstock.broker.server_connections import Connection, list_connections
from penstock.cli.console import print_line
from penstock.cli.printable import shown as printable
from penstock.contracts import load
from penstock.contracts.subjects import PERSON
from penstock.errors import Refused
from penstock.settings import load_settings

WARDEN = "warden"
OUT_SECONDS = 10.0  # within which the authority must have disconnected a denied identity

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="List, show, deny and allow identities.")

JSON = typer.Option(False, "--json", help="Print JSON.")
REASON = typer.Option(..., "--reason", "-r", help="Recorded in the audit trail.")
BY = typer.Option("", "--by", help="Who decides. Default: the user of this shell.")


@app.command("list")
def list_identities(json: bool = JSON) -> None:
    """List the identities of the contracts, and all others that are denied or connected."""
    _print(asyncio.run(_with_warden(listed)), json)


@app.command()
def show(identity: str, json: bool = JSON) -> None:
    """Show what an identity may do, whether and why it is denied, and its connections."""
    _print([asyncio.run(_with_warden(lambda broker: shown(broker, identity)))], json)


@app.command()
def deny(identity: str, reason: str = REASON, by: str = BY) -> None:
    """Deny an identity: close its connections and refuse it until it is allowed again."""
    left = asyncio.run(_with_warden(lambda broker: deny_and_wait(broker, identity, by or getpass.getuser(), reason)))
    print(
        f"{identity} is denied"
        + (f"; it still has {len(left)} connections: check that the authority is running" if left else "")
    )
    if left:
        raise typer.Exit(1)


@app.command()
def allow(identity: str, reason: str = REASON, by: str = BY) -> None:
    """Allow a denied identity again."""
    who = by or getpass.getuser()
    asyncio.run(_with_warden(lambda broker: write(broker, identity, denied=False, by=who, reason=reason)))
    print(f"{identity} is allowed again")


async def listed(broker: Broker) -> list[dict[str, Any]]:
    """One entry per identity: its name, account, way to connect, whether it is denied, number of connections."""
    contracts = load()
    entries = {entry.identity: entry for entry in await list_entries(broker)}
    connected = [session.identity for session in await list_connections(broker)]
    others = {name for name in (*entries, *connected) if name.startswith(PERSON)}
    found = []
    for name in (*contracts.identities, *sorted(others)):
        line = contracts.identities.get(name)
        entry = entries.get(name)
        found.append(
            {
                "identity": name,
                "account": line.account if line else "APP",
                "connects": "token"
                if line is None or (line.by_token and load_settings().auth == "callout")
                else "nkey",
                "denied": bool(entry and entry.denied),
                "connections": connected.count(name),
            }
        )
    return found


async def shown(broker: Broker, identity: str) -> dict[str, Any]:
    """Everything about one identity. Raises Refused NOT_FOUND if it is not in the contracts, denied or connected."""
    contracts = load()
    line = contracts.identities.get(identity)
    entry = next((entry for entry in await list_entries(broker) if entry.identity == identity), None)
    live = await list_connections(broker, identity)
    if line is None and entry is None and not live:
        raise Refused("NOT_FOUND", f"{identity} is not in contracts/identities.yaml, and neither denied nor connected")
    allowed = permissions_of(contracts, identity) if line else None
    return {
        "identity": identity,
        "meaning": line.meaning if line else "a person or service with roles",
        "denied": bool(entry and entry.denied),
        "decision": asdict(entry) if entry else None,
        "publish": list(allowed.publish) if allowed else None,
        "subscribe": list(allowed.subscribe) if allowed else None,
        "connections": [asdict(session) for session in live],
    }


async def deny_and_wait(broker: Broker, identity: str, by: str, reason: str) -> list[Connection]:
    """Denies the identity and waits until it is disconnected; returns what is still connected after 10 s."""
    line = load().identities.get(identity)
    if line is not None and (not line.by_token or load_settings().auth == "nkeys"):
        raise Refused(
            "QUERY_INVALID", f"{identity} connects with its nkey: remove its user from nats.conf and reload the server"
        )
    await write(broker, identity, denied=True, by=by, reason=reason)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OUT_SECONDS
    while (left := await list_connections(broker, identity)) and loop.time() < deadline:
        pass  # asking all servers takes a quarter of a second
    return left


async def list_entries(broker: Broker) -> list[Denial]:
    denials = Denials(broker)
    await denials.update()
    return denials.entries()


async def _with_warden(work: Callable[[Broker], Awaitable[T]]) -> T:
    broker = await connect_as(WARDEN, load_settings(), patience=5.0)
    try:
        return await work(broker)
    finally:
        await broker.drain()


def _print(entries: list[dict[str, Any]], json: bool) -> None:
    if json:
        print(jsonlib.dumps(entries, indent=1))
        return
    for entry in entries:
        if "connects" in entry:
            state = "denied" if entry["denied"] else "allowed"
            named = f"{entry['identity']:36} {entry['account']:5} {entry['connects']:6} {state:8}"
            print_line(f"{named} {entry['connections']}")
        else:
            for name, value in entry.items():
                print(printable(f"{name}: {_text(value)}", lines=True))
    if not entries:
        print_line("no identities")


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(f"\n  {_text(each)}" for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
