"""tests/support/permission_matrix.py against the real server: what identities.yaml allows works, nothing else does."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.auth import nkey_files
from tests.support.authority_rig import raw_connect
from tests.support.permission_matrix import CONTRACTS, IDENTITIES, PUBLISH, SUBSCRIBE
from tests.support.raw_clients import RawClients
from tests.support.until import BOUND

STORED = ("evt.", "score.", "dlq.", "audit.")


@pytest.mark.parametrize("name", IDENTITIES)
async def test_an_identity_may_publish_exactly_what_the_contracts_say(raw: RawClients, name: str) -> None:
    peer = raw.clients[name]
    for subject in PUBLISH:
        await peer.send(subject, b"probe")
    refused = await peer.refused()
    expected = {("publish", subject.lower()) for subject, names in PUBLISH.items() if name not in names}
    assert set(refused) == expected
    assert len(refused) == len(expected)


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("queue", ["", "q"], ids=["alone", "in a queue group"])
async def test_an_identity_may_subscribe_to_exactly_what_the_contracts_say(
    raw: RawClients, name: str, queue: str
) -> None:
    peer = raw.clients[name]

    async def ignore(_: object) -> None: ...

    made = [await peer.connection.subscribe(subject, queue, ignore) for subject in SUBSCRIBE]
    refused = await peer.refused()
    assert set(refused) == {
        ("subscription", subject.lower()) for subject, names in SUBSCRIBE.items() if name not in names
    }
    for subscription, names in zip(made, SUBSCRIBE.values(), strict=True):
        if name in names:
            await subscription.unsubscribe()


@pytest.mark.parametrize("name", [name for name, identity in IDENTITIES.items() if identity.account != "CORE"])
async def test_what_an_identity_may_publish_to_a_stream_is_stored(raw: RawClients, name: str) -> None:
    mine = [subject for subject, names in PUBLISH.items() if name in names and subject.startswith(STORED)]
    answers = await asyncio.gather(*(raw.clients[name].ask(subject, b"probe") for subject in mine))
    assert all(answer.get("seq", 0) > 0 for answer in answers)


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_matrix_has_allowed_and_refused_subjects_for_every_identity(name: str) -> None:
    for table in (PUBLISH, SUBSCRIBE):
        assert {name in names for names in table.values()} == {True, False}


STRANGER = "UDNDMAZCAV5KMFGKBTUHDQF5CRN7BQZ44TMWA7O34LGUSJ6CKP5QWLWQ"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"user": "ingress", "pass": "ingress"},
        {"auth_token": "ingress"},
        {"nkey": STRANGER, "sig": "AAAA"},
    ],
    ids=["nothing", "password", "token", "unknown key"],
)
async def test_nobody_connects_without_a_known_key(raw: RawClients, given: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", raw.place.local_port("nats"))
    async with asyncio.timeout(BOUND):
        await reader.readline()
        writer.write(f"CONNECT {json.dumps({'verbose': False, 'lang': 'x', **given})}\r\nPING\r\n".encode())
        assert b"Authorization Violation" in await reader.readline()
        assert await reader.read() == b""  # and hung up
    writer.close()
    await writer.wait_closed()


async def test_a_known_key_without_its_seed_does_not_connect(raw: RawClients) -> None:
    public = nkey_files.public_keys(CONTRACTS, raw.place.credentials_folder)["ingress"]
    assert "Authorization Violation" in await raw_connect(raw.place, {"nkey": public, "sig": "AAAA"})
