"""`penstock provision` as a command, as the identity `provision`, on a server with accounts and rights."""

from __future__ import annotations

import asyncio
import json
import sys

from penstock.provisioning import provision
from tests.support.raw_clients import RawClients


async def command(raw: RawClients, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.cli.main", "provision", *arguments),
        env=raw.place.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_it_says_that_nothing_had_to_change(raw: RawClients) -> None:
    status, output, errors = await command(raw)
    everything = (await provision.apply(raw.place)).unchanged
    assert (status, output) == (0, f"changed 0, {everything} up to date\n"), errors


async def test_it_says_what_it_would_change_and_then_changes_it(raw: RawClients) -> None:
    admin = raw.clients["provision"]
    config = (await admin.ask("$JS.API.STREAM.INFO.DLQ"))["config"]
    await admin.ask("$JS.API.STREAM.UPDATE.DLQ", json.dumps(config | {"discard": "old"}).encode())

    _, planned, _ = await command(raw, "--dry-run")
    assert planned.startswith("updated stream DLQ: discard 'old' → 'new'\nwould change 1,")

    status, output, _ = await command(raw, "--json")
    report = json.loads(output)
    assert status == 0
    assert report["changes"] == [
        {"kind": "stream", "name": "DLQ", "action": "updated", "properties": {"discard": ["old", "new"]}}
    ]
    assert (await admin.ask("$JS.API.STREAM.INFO.DLQ"))["config"]["discard"] == "new"


async def test_a_refusal_has_its_code_on_stderr_and_changes_the_exit_status(raw: RawClients) -> None:
    admin = raw.clients["provision"]
    config = (await admin.ask("$JS.API.STREAM.INFO.AUDIT"))["config"]
    await admin.ask("$JS.API.STREAM.UPDATE.AUDIT", json.dumps(config | {"subjects": ["audit.>", "more.>"]}).encode())
    status, _, errors = await command(raw)
    assert status == 1
    assert "PROVISION_REFUSED" in errors
    assert "AUDIT: the contract no longer captures more.>" in errors
    await admin.ask("$JS.API.STREAM.UPDATE.AUDIT", json.dumps(config).encode())
