"""Tokens on the real server, with two replicas of the authority behind it."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest

from penstock.auth.principal import person
from penstock.contracts import load
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.stack import up
from penstock.stack.place import Place
from tests.support import bad_tokens, service_accounts
from tests.support.authority_rig import AuthorityRig, raw_connect
from tests.support.bad_tokens import Bad
from tests.support.mint import Mint
from tests.support.permission_matrix import IDENTITIES, PUBLISH, SUBSCRIBE
from tests.support.place_factory import PlaceFactory
from tests.support.until import BOUND


@pytest.fixture(scope="module")
async def rig(place_factory: PlaceFactory) -> AsyncIterator[AuthorityRig]:
    place = place_factory.make("authority", auth="callout")
    mint, cluster = Mint(place.state / "mint"), Mint(place.state / "cluster", service_accounts.CLUSTER)
    mint.trust(cluster.entry(**service_accounts.TRUST))
    rig = await AuthorityRig(place, mint).open()
    yield rig
    await rig.close()
    up.clean(place)


@pytest.fixture(autouse=True)
async def closed(rig: AuthorityRig) -> AsyncIterator[None]:
    yield
    await rig.close_clients()


STORED = ("evt.", "score.", "dlq.", "audit.")
SUBJECT = "evt.00.nats.billing.log.line.v1"


async def test_a_client_s_token_connects_it_as_its_identity(rig: AuthorityRig) -> None:
    billing = await rig.token("billing", rig.mint.token)
    assert (await billing.publish(SUBJECT, b"{}")).stream == "EVENTS_NATS"


async def test_a_pod_s_token_connects_it_as_the_identity_of_its_service_account(rig: AuthorityRig) -> None:
    cluster = Mint(rig.place.state / "cluster", service_accounts.CLUSTER)
    billing = await rig.token("billing", lambda: service_accounts.token(cluster, "penstock-billing"))
    assert (await billing.publish(SUBJECT, b"{}")).stream == "EVENTS_NATS"
    elsewhere = service_accounts.token(cluster, "penstock-billing", "elsewhere")
    with pytest.raises(Unavailable, match="not authenticated"):
        await rig.token("billing", lambda: elsewhere, patience=0.5)


async def test_a_token_allows_nothing_beyond_its_identity(rig: AuthorityRig) -> None:
    billing = await rig.token("billing", rig.mint.token)
    for subject in ("evt.00.nats.metrics_agent.metric.sample.v1", "evt.00.http.x.log.line.v1", "audit.billing.x"):
        with pytest.raises(PenstockError):
            await billing.publish(subject, b"{}", timeout=1.0)


BAD = bad_tokens.BAD | {
    "14 kB long": bad_tokens.LONG,
    "over, within the leeway": Bad(lambda mint: mint.token(life=-5), "TOKEN_EXPIRED", "expired"),
    "no token": Bad(lambda _: "", "TOKEN_INVALID", "0 characters"),
    "in no group": Bad(lambda mint: mint.person("alice"), "FORBIDDEN", "in no group"),
    "only reads": Bad(lambda mint: mint.person("alice", "penstock-readers"), "FORBIDDEN", "ingress"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_and_the_trail_says_why(rig: AuthorityRig, name: str) -> None:
    bad = BAD[name]
    token = bad.make(rig.mint)
    record = await rig.refused(token)
    assert (record["decision"], record["code"]) == ("refused", bad.code)
    assert bad.reason in record["reason"]
    if token.count(".") == 2:
        assert token not in rig.logs()
        assert token.split(".")[1] not in rig.logs()


async def test_a_person_publishes_under_a_derived_name(rig: AuthorityRig) -> None:
    name = person(rig.mint.issuer, "alice")
    alice = await rig.token(name, lambda: rig.mint.person("alice", "penstock-senders"))
    assert (await alice.publish(f"evt.00.nats.{name}.log.line.v1", b"{}")).stream == "EVENTS_NATS"
    with pytest.raises(PenstockError):
        await alice.publish(SUBJECT, b"{}", timeout=1.0)


@pytest.mark.parametrize("given", [{}, {"user": "billing", "pass": "billing"}], ids=["nothing", "a password"])
async def test_without_a_token_the_connection_is_refused(rig: AuthorityRig, given: dict[str, str]) -> None:
    assert "Authorization Violation" in await raw_connect(rig.place, given)


async def test_an_identity_that_uses_tokens_cannot_connect_with_its_nkey(rig: AuthorityRig) -> None:
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        await rig.nkey("billing")


async def test_a_connection_ends_with_its_token(rig: AuthorityRig) -> None:
    first = await rig.next_audit()
    tokens = iter([rig.mint.token(life=2)])

    def only_one() -> str:
        try:
            return next(tokens)
        except StopIteration:
            raise Unavailable("ISSUER_UNAVAILABLE", "no second token") from None

    broker = await rig.token("billing", only_one)
    gone = asyncio.Event()
    broker.on_disconnect(gone.set)
    async with asyncio.timeout(BOUND):
        await gone.wait()
    assert "billing" in [record.get("identity") for record in await rig.audited(first)]
    await broker.drain()


async def test_every_admission_is_on_the_trail_with_who_when_and_from_where(rig: AuthorityRig) -> None:
    first = await rig.next_audit()
    await rig.token("indexer", lambda: rig.mint.token("penstock-indexer"))
    [record] = [record for record in await rig.audited(first) if record.get("identity") == "indexer"]
    assert record["decision"] == "admitted"
    assert record["identity"] == "indexer"
    assert record["subject"] == record["client_id"] == "penstock-indexer"
    assert record["host"] == "127.0.0.1"
    assert (record["actor"], record["through"]) == ("indexer", "authority")


async def test_one_dead_replica_of_the_authority_is_not_noticed(rig: AuthorityRig) -> None:
    rig.kill(0)
    answers = await asyncio.gather(*(raw_connect(rig.place, {"auth_token": rig.mint.token()}) for _ in range(20)))
    rig.start(0)
    assert [answer[:4] for answer in answers] == ["PONG"] * 20


async def test_without_any_replica_connects_fail_and_succeed_once_one_is_back(rig: AuthorityRig) -> None:
    for number in range(2):
        rig.kill(number)
    with pytest.raises(Unavailable):
        await rig.token("billing", rig.mint.token, patience=1.0)
    trying = asyncio.create_task(rig.token("billing", rig.mint.token, patience=30.0))
    await asyncio.to_thread(rig.start, 0)
    await (await trying).wait_connected(30.0)
    await asyncio.to_thread(rig.start, 1)


# The table of tests/support/permission_matrix.py with the authority behind the server: for identities that come with
# tokens, for those that keep their nkey, and for people, who are not in identities.yaml.
BY_TOKEN = [name for name, line in IDENTITIES.items() if line.by_token]
BY_NKEY = [name for name, line in IDENTITIES.items() if not line.by_token]
ROLES = load().roles


@pytest.mark.parametrize("name", BY_TOKEN)
async def test_with_a_token_an_identity_may_do_exactly_what_the_contracts_say(rig: AuthorityRig, name: str) -> None:
    assert await refused(rig, rig.mint.token(IDENTITIES[name].clients[0])) == beyond(name)


@pytest.mark.parametrize("name", BY_NKEY)
async def test_beside_the_authority_an_nkey_may_do_exactly_what_the_contracts_say(rig: AuthorityRig, name: str) -> None:
    seed = (rig.place.credentials_folder / f"{name}.nk").read_bytes().strip()
    assert await refused(rig, nkeys.from_seed(bytearray(seed))) == beyond(name)


@pytest.mark.parametrize("name", [name for name in BY_TOKEN if IDENTITIES[name].account == "APP"])
async def test_what_a_token_allows_to_publish_to_a_stream_is_stored(rig: AuthorityRig, name: str) -> None:
    broker = await rig.token(name, lambda: rig.mint.token(IDENTITIES[name].clients[0]))
    mine = [subject for subject, names in PUBLISH.items() if name in names and subject.startswith(STORED)]
    answers = await asyncio.gather(*(broker.publish(subject, b"probe") for subject in mine))
    assert all(answer.sequence > 0 for answer in answers)


@pytest.mark.parametrize("roles", [[name] for name in ROLES] + [list(ROLES)], ids="+".join)
async def test_a_person_may_send_what_the_roles_say_in_its_own_name_and_nothing_else(
    rig: AuthorityRig, roles: list[str]
) -> None:
    name = person(rig.mint.issuer, "alice")
    token = rig.mint.person("alice", *(group for role in roles for group in ROLES[role].groups))
    sends = {type for role in roles if "send" in ROLES[role].may for type in ROLES[role].types}
    if not sends:
        assert (await rig.refused(token))["code"] == "FORBIDDEN"
        return
    own = [f"evt.1c.nats.{name}.{type}" for type in load().types]
    allowed = {("publish", subject) for subject in own if "*" in sends or subject.split(".", 4)[4] in sends}
    inbox = ("subscription", f"_inbox.{name}.>")
    everything = {("publish", subject.lower()) for subject in (*PUBLISH, *own)} | {inbox}
    everything |= {("subscription", subject.lower()) for subject in SUBSCRIBE}
    found = await refused(rig, token, publish=(*PUBLISH, *own), subscribe=(*SUBSCRIBE, f"_INBOX.{name}.>"))
    assert everything - found == allowed | {inbox}


def beyond(name: str) -> set[tuple[str, str]]:
    """What the line of the identity does not allow."""
    expected = {("publish", subject.lower()) for subject, names in PUBLISH.items() if name not in names}
    return expected | {("subscription", subject.lower()) for subject, names in SUBSCRIBE.items() if name not in names}


async def refused(
    rig: AuthorityRig,
    credentials: str | nkeys.KeyPair,
    publish: Iterable[str] = PUBLISH,
    subscribe: Iterable[str] = SUBSCRIBE,
) -> set[tuple[str, str]]:
    """What the server refuses to a connection with this token or nkey."""
    operations = [f"PUB {subject} 5\r\nprobe" for subject in publish]
    operations += [f"SUB {subject} {number}" for number, subject in enumerate(subscribe)]
    said = await say(rig.place, credentials, operations)
    found = re.findall(r"Permissions Violation for (Publish|Subscription) to \"([^\"]+)\"", said)
    return {(what.lower(), subject.lower()) for what, subject in found}


async def say(place: Place, credentials: str | nkeys.KeyPair, operations: list[str]) -> str:
    """What the server answers to these operations, up to the answer to a PING behind them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.local_port("nats"), limit=1 << 20)
    options: dict[str, Any] = {"verbose": False, "lang": "x", "version": "1", "protocol": 1}
    answer, pongs = "", 0
    try:
        async with asyncio.timeout(20):
            nonce = json.loads((await reader.readline()).split(b" ", 1)[1]).get("nonce", "")
            if isinstance(credentials, str):
                options["auth_token"] = credentials
            else:
                options["nkey"] = credentials.public_key.decode()
                options["sig"] = b64encode(credentials.sign(nonce.encode())).decode()
            lines = [f"CONNECT {json.dumps(options)}", "PING", *operations, "PING"]
            writer.write("".join(f"{line}\r\n" for line in lines).encode())
            while pongs < 2:
                line = (await reader.readline()).decode()
                assert line, answer
                pongs += line.startswith("PONG")
                answer += line
    finally:
        writer.close()
        await writer.wait_closed()
    return answer
