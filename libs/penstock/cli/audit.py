"""penstock audit search, verify: searches the audit trail, and verifies that it is complete and unchanged."""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.audit import verify
from penstock.audit.seal import seal_keys
from penstock.audit.settings import SealSettings
from penstock.auth.connect import connect_as
from penstock.broker import Broker, StoredMessage
from penstock.cli.console import print_line
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.rpc.client import ask
from penstock.rpc.messages import MAX_RECORDS
from penstock.settings import load_settings

EXAMINER = "examiner"
REACH_SECONDS = 5.0
ASK_SECONDS = 10.0
WIDTH = 100  # characters of a record on the terminal

app = typer.Typer(no_args_is_help=True, help="Search the audit trail and verify that it is complete and unchanged.")

JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def search(
    identity: Annotated[str, typer.Option(help="Who did it, or whom it concerns.")] = "",
    action: Annotated[str, typer.Option(help="Such as connect, published, query, dead_letters, admin, sessions.")] = "",
    since: Annotated[str, typer.Option("--from", help="Earliest time (RFC 3339). Default: 24 hours before --to.")] = "",
    to: Annotated[str, typer.Option(help="Latest time (RFC 3339). Default: now.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most records to print.")] = 50,
    json: JSON = False,
) -> None:
    """Print records, newest first. The search itself is recorded too."""
    time = {name: bound for name, bound in (("from", since), ("to", to)) if bound}
    members = {"time": time, "identity": identity, "action": action}
    found = asyncio.run(_search({name: each for name, each in members.items() if each}, limit))
    if json:
        print(jsonlib.dumps(found))
        return
    for entry in found:
        print_line(_line(entry))
    if not found:
        print_line("no records")


@app.command("verify")
def verify_trail(
    store: Annotated[bool, typer.Option("--store", help="Also compare the copy in Cassandra.")] = False,
    keys: Annotated[Path | None, typer.Option(help="File with the public keys of the seals, one per line.")] = None,
    json: JSON = False,
) -> None:
    """Recompute the hash chain from the oldest record kept; exit 1 if a record was removed or changed."""
    report = asyncio.run(_verify(seal_keys(keys or SealSettings().seal_keys), store))
    if json:
        print(jsonlib.dumps(report.as_dict()))
        if not report.good:
            raise typer.Exit(1)
        return
    if not report.good:
        raise Refused("TRAIL_BROKEN", f"record {report.bad}: {report.what}; verified up to {report.proven_to}")
    print(f"verified: {report.proven_to - report.proven_from + 1} records, {report.proven_from} to {report.proven_to}")
    print(f"seals: {report.seals}; not sealed yet: {report.unsealed}")
    if report.kept_from < report.proven_from:
        print(f"not verified: {report.kept_from} to {report.proven_from - 1}, whose seals have expired")
    if not report.chain_from:
        print(f"earlier records have expired: the oldest is from {report.kept_since}")
    if store:
        print(f"identical in Cassandra: {report.in_store}")


async def _search(request: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    broker = await connect_as(EXAMINER, load_settings(), patience=REACH_SECONDS)
    found: list[dict[str, Any]] = []
    try:
        while len(found) < limit:
            page = await ask(
                broker, "store", "audit", request | {"limit": min(limit - len(found), 1000)}, timeout=ASK_SECONDS
            )
            found += page["records"]
            if not page.get("cursor"):
                break
            request["cursor"] = page["cursor"]
    finally:
        await broker.drain()
    return found


async def _verify(keys: frozenset[str], with_store: bool) -> verify.Report:
    broker = await connect_as(EXAMINER, load_settings(), patience=REACH_SECONDS)
    try:
        return await verify.verify(broker.jetstream, keys, store(broker) if with_store else None)
    finally:
        await broker.drain()


def _line(entry: dict[str, Any]) -> str:
    record = entry.get("record") or {}
    rest = {name: value for name, value in record.items() if name not in ("time", "actor", "through", "marks")}
    text = " ".join(f"{name}={jsonlib.dumps(value)}" for name, value in rest.items())
    return (
        f"{entry['sequence']} {entry['time'][:23]} {entry['action']:14} {record.get('actor') or '-':16} {text[:WIDTH]}"
    )


def store(broker: Broker) -> verify.InStore:
    """Asks svc.store.audit."""

    async def digests(page: Sequence[StoredMessage]) -> dict[int, str]:
        times = [message.stored_at_ns for message in page]
        request: dict[str, Any] = {
            "time": {"from": timestamps.text(min(times)), "to": timestamps.text(max(times) + 1)},
            "limit": MAX_RECORDS,
        }
        found: dict[int, str] = {}
        while True:
            answer = await ask(broker, "store", "audit", request, timeout=10.0)
            found |= {entry["sequence"]: entry["digest"] for entry in answer["records"]}
            if not answer.get("cursor"):
                return found
            request["cursor"] = answer["cursor"]

    return digests
