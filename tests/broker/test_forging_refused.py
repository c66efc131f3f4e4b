"""What the server lets through because it does not check reply addresses, and the library and the ingress refuse."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.broker import Broker
from penstock.contracts import subjects
from penstock.rpc.caller import ON_BEHALF, RequestCaller, request_caller
from penstock.rpc.server import Responder, serve
from penstock.services.ingress.tail.followers import Follower, Tail, Wanted
from tests.support.raw_clients import RawClients
from tests.support.until import BOUND

SOURCE, ID = "test", "1"
OWN = subjects.event(subjects.partition("a"), "nats", "billing", "log.line.v1")
FOREIGN = subjects.event(subjects.partition("a"), "http", "shop", "log.line.v1")


def event() -> bytes:
    """A valid event of the entity "a"."""
    body = {
        "specversion": "1.0",
        "id": ID,
        "source": SOURCE,
        "type": "log.line.v1",
        "subject": "a",
        "time": datetime.now(UTC).isoformat(),
        "data": {"message": "line"},
    }
    return json.dumps(body).encode()


@pytest.fixture
async def asked(raw: RawClients) -> AsyncIterator[list[RequestCaller]]:
    """Who got as far as the operation of a service that answers with the library."""
    askers: list[RequestCaller] = []

    async def operation(_: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        askers.append(caller)
        return {"chosen": "by the caller"}

    broker = await Broker.connect(raw.place.nats, "indexer", raw.place.credentials_folder)
    responder: Responder = await serve(broker, "search", {"query": operation})
    await broker.flush()
    yield askers
    await responder.stop()
    await broker.drain()


@pytest.mark.parametrize(
    "reply",
    ["", "dlq.indexer.forged", "audit.indexer.forged", "_INBOX.scorer.abc", "_INBOX.ingressor.abc", FOREIGN],
)
async def test_a_request_is_answered_in_the_caller_s_inbox_or_not_at_all(
    raw: RawClients, asked: list[RequestCaller], reply: str
) -> None:
    ingress = raw.clients["ingress"]

    async def attack() -> None:
        await ingress.send("svc.search.query.ingress", b"{}", reply=reply)
        # Answered in order, so the one before was seen by then.
        assert await ingress.ask("svc.search.query.ingress", b"{}") == {"chosen": "by the caller"}

    assert await raw.stored_by(attack) == []
    assert len(asked) == 1


async def test_a_stream_s_publish_ack_is_not_taken_for_a_request(raw: RawClients, asked: list[RequestCaller]) -> None:
    await raw.clients["billing"].send(OWN, event(), reply="svc.search.query.ingress")
    await raw.fence()
    await raw.clients["ingress"].ask("svc.search.query.ingress", b"{}")
    assert [caller.identity for caller in asked] == ["ingress"]
    assert len(asked) == 1


async def test_only_the_ingress_may_speak_for_others(raw: RawClients, asked: list[RequestCaller]) -> None:
    person = json.dumps({"name": "somebody", "datasets": ["logs"], "roles": []})
    request = ("svc.search.query.ingress", b"{}", {ON_BEHALF: person})
    await raw.clients["ingress"].ask(*request)
    assert asked[0].on_behalf is not None
    with pytest.raises(Exception, match="FORBIDDEN"):
        request_caller({ON_BEHALF: person}, "trainer")


class Followed:
    """A follower of the ingress's tail, and everything it was sent."""

    def __init__(self, broker: Broker, follower: Follower) -> None:
        self.broker = broker
        self.follower = follower

    async def next_event(self) -> dict[str, Any]:
        async with asyncio.timeout(BOUND):
            async for frame in self.follower.frames():
                if frame.startswith(b"event: event"):
                    record: dict[str, Any] = json.loads(frame.partition(b"data: ")[2])
                    return record
        raise AssertionError("the tail ended")


@pytest.fixture
async def followed(raw: RawClients) -> AsyncIterator[Followed]:
    broker = await Broker.connect(raw.place.nats, "ingress", raw.place.credentials_folder)
    tail = Tail(raw.contracts)
    yield Followed(broker, await tail.open(broker, Wanted(frozenset(raw.contracts.types))))
    tail.close()
    await broker.drain()


async def test_the_tail_shows_only_what_a_stream_of_events_stored(raw: RawClients, followed: Followed) -> None:
    """Forgeries come first; the first event shown is the one that was published."""
    billing, operator, indexer = (raw.clients[name] for name in ("billing", "operator", "indexer"))
    forged = f"tail.{FOREIGN}"

    # A bucket holds a value that would be a good event, and a read of it is answered to the tail.
    await operator.ask("$KV.registry.bait", event())
    await operator.send("$JS.core.API.DIRECT.GET.KV_registry.$KV.registry.bait", reply=forged)
    # A direct read of another's real event, answered under a subject of one's own choice.
    await raw.clients["ingress"].ask(FOREIGN, b"not an event")
    await operator.send(f"$JS.core.API.DIRECT.GET.EVENTS_HTTP.{FOREIGN}", reply=f"tail.{OWN}")
    # The acknowledgement of a publish.
    await billing.send(OWN, b"not an event either", reply=forged)
    # A pull, delivered to the tail, of an event with headers like those of the streams' copies.
    lies = {"Nats-Stream": "EVENTS_HTTP", "Nats-Sequence": "1", "Nats-Time-Stamp": "2026-01-01T00:00:00Z"}
    await billing.ask("evt.00.nats.billing.user.interaction.v1", b"not an event", lies | {"Nats-Subject": FOREIGN})
    await indexer.send("$JS.API.CONSUMER.MSG.NEXT.EVENTS_NATS.indexer", b'{"batch":10,"no_wait":true}', reply=forged)

    await raw.fence()
    await operator.flush()
    stored = await billing.ask(OWN, event())
    shown = await followed.next_event()
    assert (shown["stream"], shown["sequence"], shown["publisher"]) == ("EVENTS_NATS", stored["seq"], "billing")


async def test_the_stored_subject_is_read_whatever_the_headers_say(raw: RawClients) -> None:
    lies = {"Nats-Subject": FOREIGN, "Nats-Sequence": "1", "Nats-Stream": "EVENTS_HTTP", "Nats-Time-Stamp": "x"}
    stored = await raw.clients["billing"].ask(OWN, b"own", lies)
    broker = await Broker.connect(raw.place.nats, "operator", raw.place.credentials_folder)
    message = await broker.jetstream.get("EVENTS_NATS", sequence=stored["seq"])
    (same,) = await broker.jetstream.get_many("EVENTS_NATS", sequence=stored["seq"], most=1)
    await broker.drain()
    for found in (message, same):
        assert (found.subject, found.sequence, found.stream) == (OWN, stored["seq"], "EVENTS_NATS")
