"""Denied identities are disconnected by the real server, stay refused, and connect again once they are allowed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.auth.connect import connect_as
from penstock.auth.denials import NOTIFICATION, Denials, write
from penstock.broker import Broker
from penstock.broker.server_connections import list_connections
from penstock.cli import identity as cli
from penstock.contracts.nats_subjects import CORE_API
from penstock.errors import Refused, Unavailable
from penstock.stack import nats, up
from tests.support.authority_rig import AuthorityRig
from tests.support.mint import Mint
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes
from tests.support.records import records_of
from tests.support.runbook import Runbook
from tests.support.until import until


@pytest.fixture(scope="module")
async def rig(place_factory: PlaceFactory) -> AsyncIterator[AuthorityRig]:
    place = place_factory.make("denials", auth="callout")
    rig = await AuthorityRig(place, Mint(place.state / "mint")).open()
    yield rig
    await rig.close()
    up.clean(place)


@pytest.fixture(autouse=True)
async def closed(rig: AuthorityRig) -> AsyncIterator[None]:
    yield
    await rig.close_clients()


@pytest.fixture
async def warden(rig: AuthorityRig) -> AsyncIterator[Broker]:
    warden = await rig.nkey("warden")
    yield warden
    for entry in await cli.list_entries(warden):
        if entry.denied:
            await write(warden, entry.identity, denied=False, by="test", reason="clean up")


def deny(warden: Broker, identity: str) -> Any:
    return write(warden, identity, denied=True, by="test", reason="on trial")


async def lost(broker: Broker) -> None:
    await until(lambda: not broker.connected)


async def test_a_denied_identity_is_disconnected_within_two_seconds(rig: AuthorityRig, warden: Broker) -> None:
    connections = [await rig.token("billing", rig.mint.token) for _ in range(3)]
    other = await rig.token("metrics_agent", lambda: rig.mint.token("penstock-metrics-agent"))
    began = time.monotonic()
    await deny(warden, "billing")
    await asyncio.gather(*(lost(broker) for broker in connections))
    assert time.monotonic() - began < 2.0
    assert other.connected


async def test_a_denied_identity_cannot_reconnect_and_the_trail_says_why(rig: AuthorityRig, warden: Broker) -> None:
    broker = await rig.token("billing", rig.mint.token)
    await deny(warden, "billing")
    await lost(broker)
    record = await rig.refused(rig.mint.token())
    assert record["code"] == "IDENTITY_REVOKED"
    assert not broker.connected


async def test_an_identity_allowed_again_reconnects_by_itself(rig: AuthorityRig, warden: Broker) -> None:
    broker = await rig.token("billing", rig.mint.token)
    await deny(warden, "billing")
    await lost(broker)
    await write(warden, "billing", denied=False, by="test", reason="it was nothing")
    await broker.wait_connected(10)
    assert (await broker.publish("evt.00.nats.billing.log.line.v1", b"{}")).stream == "EVENTS_NATS"


async def test_a_denial_without_a_notification_is_found_by_the_next_poll(rig: AuthorityRig, warden: Broker) -> None:
    broker = await rig.token("billing", rig.mint.token)
    entry = {"identity": "billing", "denied": True, "by": "test", "reason": "quietly", "at": ""}
    began = time.monotonic()
    await warden.publish("$KV.denials.billing", orjson.dumps(entry))
    await lost(broker)
    assert time.monotonic() - began < 3.0


async def test_an_unreadable_entry_of_the_denial_list_denies(rig: AuthorityRig, warden: Broker) -> None:
    broker = await rig.token("billing", rig.mint.token)
    await warden.publish("$KV.denials.billing", b"not JSON")
    warden.send(NOTIFICATION)
    await lost(broker)
    assert (await rig.refused(rig.mint.token()))["code"] == "IDENTITY_REVOKED"


async def test_a_connect_racing_with_the_denial_is_disconnected(rig: AuthorityRig, warden: Broker) -> None:
    stop = asyncio.Event()

    async def keep_trying() -> None:
        while not stop.is_set():
            await raw_connect_and_stay(rig, stop)

    tries = [asyncio.create_task(keep_trying()) for _ in range(8)]
    await until(lambda: connected(warden, at_least=1))
    await deny(warden, "billing")

    async def disconnected() -> bool:
        return not await list_connections(warden, "billing")

    await until(disconnected)
    stop.set()
    await asyncio.gather(*tries)
    record = await rig.refused(rig.mint.token())
    assert record["code"] == "IDENTITY_REVOKED"


async def connected(warden: Broker, at_least: int) -> bool | None:
    return len(await list_connections(warden, "billing")) >= at_least or None


async def raw_connect_and_stay(rig: AuthorityRig, stop: asyncio.Event) -> None:
    """Connects and stays until it is disconnected, or until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.place.local_port("nats"))
    ended = asyncio.create_task(stop.wait())
    try:
        await reader.readline()
        options = {"verbose": False, "lang": "x", "version": "1", "protocol": 1, "auth_token": rig.mint.token()}
        writer.write(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
        closed = asyncio.create_task(reader.read())
        await asyncio.wait([closed, ended], return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        await asyncio.gather(closed, return_exceptions=True)
    finally:
        ended.cancel()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_forced_disconnect_is_on_the_trail(rig: AuthorityRig, warden: Broker) -> None:
    await rig.token("billing", rig.mint.token)
    first = await rig.next_audit()
    await deny(warden, "billing")

    async def look() -> dict[str, Any] | None:
        return next((record for record in await rig.audited(first) if record["decision"] == "disconnected"), None)

    assert (await until(look))["identity"] == "billing"


async def test_the_list_can_be_followed_from_app(rig: AuthorityRig, warden: Broker) -> None:
    ingress = await rig.token("ingress", lambda: rig.mint.token("penstock-ingress"))
    denials = Denials(ingress)
    await denials.start()
    assert not denials.is_denied("web_shop")
    await deny(warden, "web_shop")
    await until(lambda: denials.is_denied("web_shop"), bound=2.0)
    await write(warden, "web_shop", denied=False, by="test", reason="over")
    await until(lambda: not denials.is_denied("web_shop"), bound=2.0)
    await denials.stop()


async def test_nobody_but_the_warden_writes_the_list(rig: AuthorityRig) -> None:
    for identity in ("ingress", "billing"):
        broker = await rig.token(identity, lambda identity=identity: rig.mint.token(f"penstock-{identity}"))  # type: ignore[misc]
        with pytest.raises(Refused, match="FORBIDDEN"):
            await broker.publish("$KV.denials.indexer", b"{}", timeout=2.0)


@pytest.mark.parametrize("name", ["", "a.b", "*", ">", "a b", "x" * 65, "ä"])
async def test_a_name_that_cannot_be_an_identity_cannot_be_denied(warden: Broker, name: str) -> None:
    with pytest.raises(Refused, match="QUERY_INVALID"):
        await deny(warden, name)


def penstock(rig: AuthorityRig, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "penstock.cli.main", "identity", *arguments],
        env={**os.environ, **rig.place.environment()},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


async def test_the_command_line_denies_shows_and_allows(rig: AuthorityRig, warden: Broker, tmp_path: Path) -> None:
    broker = await rig.token("billing", rig.mint.token)
    book = Runbook(rig.place, tmp_path, "docs/dead-letters.md", "poison publisher", {})
    assert await book.run("penstock identity deny") == "billing is denied\n"
    assert not broker.connected
    [shown] = json.loads((await asyncio.to_thread(penstock, rig, "show", "billing", "--json")).stdout)
    assert shown["denied"]
    assert shown["decision"]["reason"] == "sends a member that no schema has"
    listed = json.loads((await asyncio.to_thread(penstock, rig, "list", "--json")).stdout)
    assert [entry["identity"] for entry in listed if entry["denied"]] == ["billing"]
    await book.run("penstock identity allow")
    await broker.wait_connected(10)


async def test_the_command_line_does_not_promise_what_it_cannot_do(rig: AuthorityRig) -> None:
    said = await asyncio.to_thread(penstock, rig, "deny", "provision", "--reason", "x")
    assert said.returncode == 1
    assert "nkey" in said.stderr


async def test_the_trail_has_who_denied_and_why(rig: AuthorityRig, warden: Broker) -> None:
    first = await rig.next_audit()
    await deny(warden, "billing")
    [message] = await rig.reader.jetstream.get_many("AUDIT", sequence=first, subject="audit.warden.>")
    [record] = [each.value for each in records_of([message])]
    assert (record["actor"], record["identity"], record["reason"]) == ("test", "billing", "on trial")
    assert rig.reader.jetstream.prefix == CORE_API


async def test_without_the_denial_list_following_it_fails(throwaway_nats: Callable[..., Processes]) -> None:
    """Before `penstock provision` there is no bucket: whoever follows the list waits for it, and does not go on."""
    place = throwaway_nats(nats.fleet_conf).place
    ingress = await connect_as("ingress", place)
    denials = Denials(ingress)
    with pytest.raises(Unavailable, match="KV_denials"):
        await denials.start()
    await ingress.drain()
