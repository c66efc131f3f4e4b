"""Ways to have the server store, deliver or drop a message in another's name, each tried on the real server.

The server does not check reply addresses, so most of them name somebody else's subject as the address of an answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg

from tests.support.raw_clients import RawClient, RawClients
from tests.support.until import BOUND

OWN = "evt.01.nats.billing.log.line.v1"
FOREIGN = [
    "evt.01.nats.metrics_agent.metric.sample.v1",
    "evt.01.http.shop.log.line.v1",
    "score.01.lines.log.line.v1",
    "dlq.indexer.evt.01.http.shop.log.line.v1",
    "audit.ingress.asked",
    "$KV.registry.models",
    "$O.models.C.abc",
    "$JS.API.STREAM.DELETE.EVENTS_HTTP",
    "$JS.core.API.STREAM.PURGE.OBJ_models",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS_HTTP.indexer",
]
# Requests with an answer from CORE or SYS: by whom, what, and a payload.
ANSWERED = [
    ("indexer", "$JS.core.API.STREAM.INFO.EVENTS_NATS", b""),
    ("indexer", "$JS.core.API.CONSUMER.INFO.EVENTS_NATS.indexer", b""),
    ("scorer", "$JS.core.API.DIRECT.GET.KV_registry.$KV.registry.bait", b""),
    ("scorer", "$JS.core.API.DIRECT.GET.KV_registry", b'{"seq":1,"batch":10}'),
    ("scorer", "$JS.core.API.DIRECT.GET.KV_registry", b'{"multi_last":["$KV.registry.>"],"batch":10}'),
    ("operator", "$JS.core.API.DIRECT.GET.KV_registry.$KV.registry.bait", b""),
    ("operator", "$KV.registry.bait", b"bait"),
    ("ingress", "$SYS.REQ.SERVER.PING.VARZ", b""),
]


@pytest.fixture(scope="module")
async def bait(raw: RawClients) -> RawClients:
    """With a stored value of the writer's choice and events to pull, so that answers have a content worth forging."""
    assert "seq" in await raw.clients["operator"].ask("$KV.registry.bait", b'{"chosen":"freely"}')
    for _ in range(20):
        assert "seq" in await raw.clients["billing"].ask(OWN, b"pulled")
    return raw


@pytest.mark.parametrize("target", FOREIGN)
async def test_the_answer_to_a_publish_is_not_stored_under_the_subject_it_names(raw: RawClients, target: str) -> None:
    async def attack() -> None:
        await raw.clients["billing"].send(OWN, b"own", reply=target)

    assert await raw.stored_by(attack) == [(OWN, b"own")]


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize(("name", "subject", "payload"), ANSWERED, ids=lambda value: str(value)[:40])
async def test_the_answer_to_a_request_is_not_stored_under_the_subject_it_names(
    bait: RawClients, name: str, subject: str, payload: bytes, target: str
) -> None:
    async def attack() -> None:
        peer = bait.clients[name]
        await peer.send(subject, payload, reply=target)
        await peer.connection.request(subject, payload, timeout=BOUND)  # answered after the other

    allowed = [("$KV.registry.bait", b"bait")] * 2 if subject.startswith("$KV") else []
    assert await bait.stored_by(attack) == allowed


@pytest.mark.parametrize("target", [*FOREIGN, "dlq.indexer.own", "audit.indexer.own"])
async def test_a_pull_does_not_store_what_it_delivers_again(bait: RawClients, target: str) -> None:
    pull = "$JS.API.CONSUMER.MSG.NEXT.EVENTS_NATS.indexer"
    indexer = bait.clients["indexer"]

    async def attack() -> None:
        await indexer.send(pull, b'{"batch":1,"no_wait":true}', reply=target)
        await indexer.send(pull, b'{"batch":1,"no_wait":true}', reply=f"{indexer.inbox}.pull")
        (delivery,) = await bait.received(indexer)
        assert delivery.reply.startswith("$JS.ACK.EVENTS_NATS.indexer.")
        await indexer.send(delivery.reply, b"+NXT", reply=target)

    assert await bait.stored_by(attack) == []


@pytest.fixture
async def answers_everybody(raw: RawClients) -> AsyncIterator[RawClient]:
    """An indexer that sends its answer wherever the request says."""
    indexer = raw.clients["indexer"]

    async def answer(request: Msg) -> None:
        await indexer.send(request.reply, b"chosen by the caller")

    listening = await indexer.connection.subscribe("svc.search.query.*", cb=answer)
    await indexer.flush()
    yield indexer
    await listening.unsubscribe()


@pytest.mark.parametrize("target", [subject for subject in FOREIGN if "indexer" not in subject])
async def test_a_responder_cannot_be_made_to_publish_by_a_reply_subject(
    raw: RawClients, answers_everybody: RawClient, target: str
) -> None:
    """The answer goes where the request says, and the one who answers has no right to publish there.

    Its own subjects are left; penstock.rpc.server refuses every address but the caller's inbox.
    """

    async def attack() -> None:
        await raw.clients["ingress"].send("svc.search.query.ingress", b"", reply=target)

    assert await raw.stored_by(attack) == []
    assert await answers_everybody.refused() == [("publish", target.lower())]


async def test_nobody_can_name_an_acknowledgement_as_reply_address(raw: RawClients) -> None:
    billing = raw.clients["billing"]
    await billing.send(OWN, b"own", reply="$JS.ACK.EVENTS_NATS.indexer.1.1.1.1.1")
    assert await billing.refused() == [("reply", "$js.ack.events_nats.indexer.1.1.1.1.1")]


SCHEDULE = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": FOREIGN[0]}
BATCH = {"Nats-Batch-Id": "abc", "Nats-Batch-Sequence": "1"}
LAST = "Nats-Expected-Last-Subject-Sequence"


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        (SCHEDULE, 10188),
        ({"Nats-Rollup": "all"}, 10111),
        ({"Nats-Rollup": "sub"}, 10111),
        ({"Nats-TTL": "1s"}, 10166),
        ({"Nats-TTL": "never"}, 10166),
        ({"Nats-Incr": "+1"}, 10168),
        (BATCH, 10174),
        ({**BATCH, "Nats-Batch-Commit": "1"}, 10174),
        ({"Nats-Stream-Source": "EVENTS_HTTP 1 > > evt.01.http.shop.log.line.v1"}, 10227),
        ({"Nats-Expected-Stream": "EVENTS_HTTP"}, 10060),
        ({"Nats-Expected-Last-Sequence": "1"}, 10071),
        ({LAST: "1"}, 10071),
        ({LAST: "1", f"{LAST}-Subject": "evt.*.nats.metrics_agent.>"}, 10071),
        ({"Nats-Expected-Last-Msg-Id": "abc"}, 10070),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
async def test_jetstream_control_headers_are_refused_and_nothing_is_stored(
    raw: RawClients, headers: dict[str, str], number: int
) -> None:
    async def attack() -> None:
        answer = await raw.clients["billing"].ask(OWN, b"own", headers)
        assert answer["error"]["err_code"] == number

    assert await raw.stored_by(attack) == []


@pytest.mark.parametrize("stream", ["SCORES", "EVENTS_HTTP"])
async def test_only_the_one_publisher_of_a_stream_can_open_an_atomic_batch_on_it(raw: RawClients, stream: str) -> None:
    owner, subject = raw.fences[stream]
    for name, peer in raw.clients.items():
        if name != owner:
            await peer.send(subject, b"held open", headers=BATCH)
            assert await peer.refused() == [("publish", subject.lower())]


async def test_fast_ingest_is_off(raw: RawClients) -> None:
    billing = raw.clients["billing"]
    await billing.send(OWN, b"own", reply=f"{billing.inbox}.abc.10.fail.1.0.$FI")
    (answer,) = await raw.received(billing)
    assert json.loads(answer.data)["error"]["err_code"] == 10205


@pytest.mark.parametrize("target", [FOREIGN[0], FOREIGN[1], "_INBOX.ingress.abc", "$KV.registry.models"])
async def test_a_trace_goes_only_where_its_sender_may_publish(raw: RawClients, target: str) -> None:
    billing = raw.clients["billing"]

    async def attack() -> None:
        await billing.send(OWN, b"own", headers={"Nats-Trace-Dest": target})

    assert await raw.stored_by(attack) == []
    assert await billing.refused() == [("publish", target.lower())]


async def test_a_guessed_message_id_does_not_suppress_an_event_that_carries_none(raw: RawClients) -> None:
    victim = "evt.01.nats.metrics_agent.metric.sample.v1"

    async def attack() -> None:
        await raw.clients["billing"].ask(OWN, b"first", {"Nats-Msg-Id": "guessed"})
        answer = await raw.clients["metrics_agent"].ask(victim, b"the victim's")
        assert "duplicate" not in answer

    assert await raw.stored_by(attack) == [(OWN, b"first"), (victim, b"the victim's")]


async def test_deduplication_is_as_short_as_the_server_lets_it_be(raw: RawClients) -> None:
    for stream in raw.fences:
        info = await raw.clients["provision"].ask(f"$JS.API.STREAM.INFO.{stream}")
        assert info["config"]["duplicate_window"] == 100_000_000


@pytest.mark.parametrize("stream", ["EVENTS_HTTP", "EVENTS_NATS", "SCORES", "DLQ", "AUDIT"])
async def test_a_message_over_the_limit_of_its_stream_is_refused(raw: RawClients, stream: str) -> None:
    owner, subject = raw.fences[stream]
    limit = raw.contracts.streams[stream].max_message

    async def attack() -> None:
        assert "seq" in await raw.clients[owner].ask(subject, b"x" * limit)
        answer = await raw.clients[owner].ask(subject, b"x" * (limit + 1))
        assert answer["error"]["err_code"] == 10054
        headers = {"Padding": "y" * 100}
        answer = await raw.clients[owner].ask(subject, b"x" * (limit - 50), headers)
        assert answer["error"]["err_code"] == 10054

    assert len(await raw.stored_by(attack)) == 1


async def test_a_worker_cannot_acknowledge_another_s_delivery(bait: RawClients) -> None:
    writer = bait.clients["writer"]
    await writer.send(
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS_NATS.writer", b'{"batch":1,"no_wait":true}', reply=f"{writer.inbox}.pull"
    )
    (delivery,) = await bait.received(writer)
    for name in ("indexer", "scorer", "billing", "operator", "ingress"):
        await bait.clients[name].send(delivery.reply, b"+TERM")
        assert await bait.clients[name].refused() == [("publish", delivery.reply.lower())]
    info = "$JS.core.API.CONSUMER.INFO.EVENTS_NATS.writer"
    assert (await writer.ask(info))["num_ack_pending"] == 1
    await writer.connection.request(delivery.reply, b"+ACK", timeout=BOUND)
    assert (await writer.ask(info))["num_ack_pending"] == 0


async def test_a_sender_cannot_forge_the_server_s_headers(raw: RawClients) -> None:
    """A read message has its true subject and sequence last, where our parser and nats-py take them from."""
    lies = {"Nats-Subject": FOREIGN[1], "Nats-Sequence": "1", "Nats-Stream": "EVENTS_HTTP", "Nats-Time-Stamp": "x"}
    stored = await raw.clients["billing"].ask(OWN, b"own", lies)
    message = await raw.stored("EVENTS_NATS", stored["seq"])
    assert message.headers
    assert message.headers["Nats-Subject"] == OWN
    assert message.headers["Nats-Sequence"] == str(stored["seq"])
    assert message.headers["Nats-Stream"] == "EVENTS_NATS"


@pytest.fixture
async def tail(raw: RawClients) -> AsyncIterator[list[Msg]]:
    """What the ingress receives on tail.>."""
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    listening = await raw.clients["ingress"].connection.subscribe("tail.>", cb=hear)
    await raw.clients["ingress"].flush()
    yield heard
    await listening.unsubscribe()


async def test_the_tail_has_each_event_with_its_origin(raw: RawClients, tail: list[Msg]) -> None:
    stored = await raw.clients["billing"].ask(OWN, b"own")
    await raw.fence()
    await raw.clients["ingress"].flush()
    first = tail[0]
    assert (first.subject, first.data) == (f"tail.{OWN}", b"own")
    assert first.headers
    assert first.headers["Nats-Stream"] == "EVENTS_NATS"
    assert first.headers["Nats-Sequence"] == str(stored["seq"])


async def test_a_reply_sent_to_the_tail_lacks_the_origin_headers(raw: RawClients, tail: list[Msg]) -> None:
    """The server delivers it; whoever follows the tail must demand the headers that only the streams' copies have."""
    await raw.clients["billing"].send(OWN, b"own", reply=f"tail.{FOREIGN[1]}")
    await raw.fence()
    await raw.clients["ingress"].flush()
    forged = [message for message in tail if message.subject == f"tail.{FOREIGN[1]}"]
    assert all(not message.headers for message in forged)
    assert all(b'"stream":"EVENTS_NATS"' in message.data for message in forged)
