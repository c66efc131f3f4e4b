"""Whoever has stolen the seed of a worker: what it can do, and what it cannot. docs/identity.md says the same."""

from __future__ import annotations

import json

import pytest
from nats.aio.msg import Msg

from tests.support.raw_clients import RawClients

EVENT = "evt.00.nats.billing.log.line.v1"
PULL = "$JS.API.CONSUMER.MSG.NEXT.EVENTS_NATS.indexer"
INFO = "$JS.core.API.CONSUMER.INFO.EVENTS_NATS.indexer"


async def test_a_stolen_worker_seed_takes_the_worker_s_own_messages_from_it(raw: RawClients) -> None:
    """They are gone for that sink, not for the others: the stream and the other sinks still have them."""
    thief = raw.clients["indexer"]
    assert "seq" in await raw.clients["billing"].ask(EVENT, b"{}")
    await thief.send(PULL, b'{"batch":1,"no_wait":true}', reply=f"{thief.inbox}.pull")
    (delivery,) = await raw.received(thief)
    assert delivery.data == b"{}"
    await thief.connection.request(delivery.reply, b"+ACK", timeout=5)
    assert (await thief.ask(INFO))["num_pending"] == 0
    writer = await raw.clients["writer"].ask("$JS.core.API.CONSUMER.INFO.EVENTS_NATS.writer")
    assert writer["num_pending"] == 1
    assert (await raw.state("EVENTS_NATS"))["messages"] == 1


async def test_a_stolen_worker_seed_answers_searches_in_the_worker_s_place(raw: RawClients) -> None:
    thief = raw.clients["indexer"]

    async def forge(request: Msg) -> None:
        await request.respond(b"forged")

    await thief.connection.subscribe("svc.search.query.*", queue="q", cb=forge)
    await thief.flush()
    answer = await raw.clients["dashboard"].connection.request("svc.search.query.dashboard", b"{}", timeout=5)
    assert answer.data == b"forged"


@pytest.mark.parametrize(
    "subject",
    [
        EVENT,  # an event, in anybody's name
        "evt.00.http.web_shop.log.line.v1",
        "score.00.surprise.log.line.v1",
        "dlq.writer.evt.00.nats.billing.log.line.v1",  # another worker's dead letter, audit record, model, denial
        "audit.auditor.seal",
        "$KV.registry.active",
        "$KV.denials.auditor",
        "$JS.ACK.EVENTS_NATS.writer.1.1.1.1.0",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS_NATS.writer",
        "$JS.API.STREAM.PURGE.EVENTS_NATS",
        "$JS.API.STREAM.DELETE.EVENTS_NATS",
        "$JS.API.CONSUMER.DELETE.EVENTS_NATS.indexer",
        "svc.operator.apply.indexer",
        "svc.store.get.ingress",  # in the ingress's name, on behalf of whomever it likes
        "tail.evt.00.nats.billing.log.line.v1",
    ],
)
async def test_a_stolen_worker_seed_does_nothing_else(raw: RawClients, subject: str) -> None:
    thief = raw.clients["indexer"]
    await thief.send(subject, json.dumps({"stolen": True}).encode())
    assert await thief.refused() == [("publish", subject.lower())]
