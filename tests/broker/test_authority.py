"""Tokens on the real server, with two replicas of the authority behind it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable

import pytest

from penstock.errors import PenstockError, Refused, Unavailable
from stack import up
from stack.place import Place
from tests.broker.authority import AuthorityRig, raw_connect
from tests.broker.matrix import IDENTITIES, PUBLISH, SUBSCRIBE
from tests.mint import Mint
from tests.places import Places


@pytest.fixture(scope="module")
async def rig(places: Places) -> AsyncIterator[AuthorityRig]:
    place = places.make("authority", auth="callout")
    rig = await AuthorityRig(place, Mint(place.state / "mint")).open()
    yield rig
    await rig.close()
    up.clean(place)


@pytest.fixture(autouse=True)
async def closed(rig: AuthorityRig) -> AsyncIterator[None]:
    yield
    await rig.close_clients()


SUBJECT = "evt.00.nats.billing.log.line.v1"


async def test_a_client_s_token_lets_it_in_as_its_identity(rig: AuthorityRig) -> None:
    billing = await rig.token("billing", rig.mint.token)
    assert (await billing.publish(SUBJECT, b"{}")).stream == "EVENTS_NATS"


async def test_it_may_do_nothing_beyond_its_line(rig: AuthorityRig) -> None:
    billing = await rig.token("billing", rig.mint.token)
    for subject in ("evt.00.nats.metrics_agent.metric.sample.v1", "evt.00.http.x.log.line.v1", "audit.billing.x"):
        with pytest.raises(PenstockError):
            await billing.publish(subject, b"{}", timeout=1.0)


BAD: dict[str, tuple[Callable[[Mint], str], str, str]] = {
    "expired": (lambda mint: mint.token(life=-60), "TOKEN_EXPIRED", "expired"),
    "over, within the leeway": (lambda mint: mint.token(life=-5), "TOKEN_EXPIRED", "expired"),
    "not yet valid": (lambda mint: mint.token(nbf=2**32), "TOKEN_INVALID", "not yet valid"),
    "other audience": (lambda mint: mint.token(aud="other"), "TOKEN_INVALID", "audience"),
    "other issuer": (lambda mint: mint.token(iss="https://evil.test"), "TOKEN_INVALID", "issuer"),
    "unsigned": (lambda mint: mint.unsigned(), "TOKEN_INVALID", "'none'"),
    "HMAC with the public key": (lambda mint: mint.hmac_with_public_key(), "TOKEN_INVALID", "'HS256'"),
    "ES256 where it is not allowed": (lambda mint: mint.es256(), "TOKEN_INVALID", "'ES256'"),
    "without subject": (lambda mint: mint.token(sub=None), "TOKEN_INVALID", "sub"),
    "unknown key": (lambda mint: mint.unknown_key(), "TOKEN_INVALID", "no key"),
    "14 kB": (lambda mint: mint.token(padding="x" * 10_000), "TOKEN_INVALID", "characters"),
    "no token": (lambda _: "", "TOKEN_INVALID", "0 characters"),
    "in no group": (lambda mint: mint.person("alice"), "FORBIDDEN", "in no group"),
    "only reads": (lambda mint: mint.person("alice", "penstock-readers"), "FORBIDDEN", "ingress"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_and_the_trail_says_why(rig: AuthorityRig, name: str) -> None:
    make, code, reason = BAD[name]
    token = make(rig.mint)
    record = await rig.refused(token)
    assert (record["decision"], record["code"]) == ("refused", code)
    assert reason in record["reason"]
    if token:
        assert token not in rig.logs()
        assert token.split(".")[1] not in rig.logs()


async def test_who_has_no_line_publishes_in_a_name_of_its_own(rig: AuthorityRig) -> None:
    from penstock.who import person

    name = person(rig.mint.issuer, "alice")
    alice = await rig.token(name, lambda: rig.mint.person("alice", "penstock-senders"))
    assert (await alice.publish(f"evt.00.nats.{name}.log.line.v1", b"{}")).stream == "EVENTS_NATS"
    with pytest.raises(PenstockError):
        await alice.publish(SUBJECT, b"{}", timeout=1.0)


@pytest.mark.parametrize("given", [{}, {"user": "billing", "pass": "billing"}], ids=["nothing", "a password"])
async def test_without_a_token_nobody_comes_in(rig: AuthorityRig, given: dict[str, str]) -> None:
    assert "Authorization Violation" in await raw_connect(rig.place, given)


async def test_an_identity_that_comes_by_token_does_not_come_with_its_nkey(rig: AuthorityRig) -> None:
    with pytest.raises(Refused, match="CREDENTIALS_INVALID"):
        await rig.nkey("billing")


async def test_a_connection_ends_with_its_token(rig: AuthorityRig) -> None:
    first = await rig.next_audit()
    broker = await rig.token("billing", lambda: rig.mint.token(life=2))
    gone = asyncio.Event()
    broker._renewing.cancel()  # type: ignore[union-attr]  # a client that does not renew
    broker.on_disconnect(gone.set)
    async with asyncio.timeout(5):
        await gone.wait()
    assert (await rig.audited(first))[0]["identity"] == "billing"
    await broker.drain()


async def test_every_admission_is_on_the_trail_with_who_when_and_from_where(rig: AuthorityRig) -> None:
    first = await rig.next_audit()
    await rig.token("indexer", lambda: rig.mint.token("penstock-indexer"))
    [record] = [record for record in await rig.audited(first) if record.get("identity") == "indexer"]
    assert record["decision"] == "admitted"
    assert record["identity"] == "indexer"
    assert record["subject"] == record["client_id"] == "penstock-indexer"
    assert record["host"] == "127.0.0.1"
    assert record["actor"] == "authority"


async def test_one_replica_dead_is_not_noticed(rig: AuthorityRig) -> None:
    rig.kill(0)
    answers = await asyncio.gather(*(raw_connect(rig.place, {"auth_token": rig.mint.token()}) for _ in range(20)))
    rig.start(0)
    assert [answer[:4] for answer in answers] == ["PONG"] * 20


async def test_without_any_replica_nobody_comes_in_and_with_one_again_they_do(rig: AuthorityRig) -> None:
    for number in range(2):
        rig.kill(number)
    with pytest.raises(Unavailable):
        await rig.token("billing", rig.mint.token, patience=1.0)
    trying = asyncio.create_task(rig.token("billing", rig.mint.token, patience=30.0))
    await asyncio.to_thread(rig.start, 0)
    await (await trying).wait_connected(30.0)
    await asyncio.to_thread(rig.start, 1)


@pytest.mark.parametrize("name", [name for name, line in IDENTITIES.items() if line.by_token])
async def test_with_a_token_an_identity_may_do_exactly_what_its_line_says(rig: AuthorityRig, name: str) -> None:
    token = rig.mint.token(IDENTITIES[name].clients[0])
    operations = [f"PUB {subject} 5\r\nprobe" for subject in PUBLISH]
    operations += [f"SUB {subject} {number}" for number, subject in enumerate(SUBSCRIBE)]
    refused = {
        (what.lower(), subject.lower())
        for what, subject in re.findall(
            r"Permissions Violation for (Publish|Subscription) to \"([^\"]+)\"", await say(rig.place, token, operations)
        )
    }
    expected = {("publish", subject.lower()) for subject, names in PUBLISH.items() if name not in names}
    expected |= {("subscription", subject.lower()) for subject, names in SUBSCRIBE.items() if name not in names}
    assert refused == expected


async def say(place: Place, token: str, operations: list[str]) -> str:
    """What the server answers to these operations, up to the answer to a PING behind them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.local_port("nats"), limit=1 << 20)
    options = {"verbose": False, "lang": "x", "version": "1", "protocol": 1, "auth_token": token}
    lines = [f"CONNECT {json.dumps(options)}", "PING", *operations, "PING"]
    answer, pongs = "", 0
    try:
        async with asyncio.timeout(20):
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
