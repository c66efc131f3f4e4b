"""The broker or a store is away, hangs, or is full: callers get its error code, nothing is lost, and it recovers."""

from __future__ import annotations

import asyncio
import signal
import time

import httpx
import pytest

from penstock.broker import Broker, Stored
from penstock.errors import Unavailable
from penstock.provisioning import provision
from penstock.stack import nats, process, up
from tests.support.full_stack import SERVICES, WORKERS, FullStack
from tests.support.place_factory import PlaceFactory
from tests.support.until import until

ACK_WAIT = 30.0  # seconds after which a delivery that nobody keeps alive comes again
PROBLEM = "application/problem+json"


async def test_without_the_broker_the_ingress_answers_503_with_retry_after(full_stack: FullStack) -> None:
    event = full_stack.senders().event("web_shop")
    await full_stack.down("nats")
    answer = await full_stack.post("web_shop", event)
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "BROKER_UNAVAILABLE"
    for name in SERVICES:
        await full_stack.unready(name, "broker")

    await full_stack.again("nats")
    await full_stack.ready(*SERVICES)
    answer = await full_stack.post("web_shop", event)
    assert answer.status_code == 202, answer.text
    full_stack.accepted.add(answer.json()["results"][0]["key"])
    await full_stack.assert_complete()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("away", "hanging", "held_by"),
    [("elasticsearch", "cassandra", "writer"), ("cassandra", "elasticsearch", "indexer")],
)
async def test_one_store_down_and_the_other_frozen_lose_nothing(
    full_stack: FullStack, away: str, hanging: str, held_by: str
) -> None:
    await full_stack.settled()
    before = {worker: await full_stack.redeliveries(worker) for worker in ("indexer", "writer")}
    async with full_stack.senders(gap=1.0) as senders:
        await senders.more(100)
        full_stack.signal(hanging, signal.SIGSTOP)
        try:
            await full_stack.down(away)
            await full_stack.unready("indexer_0", "Elasticsearch")
            await full_stack.unready("writer_0", "Cassandra")
            await senders.more(300)  # the ingress goes on
            await until(lambda: oldest_is_older(full_stack, held_by, ACK_WAIT + 5), 90, f"{held_by} holds what is old")
        finally:
            full_stack.signal(hanging, signal.SIGCONT)
        await full_stack.again(away)
        await senders.more(100)
    await full_stack.assert_complete()
    await full_stack.ready(*SERVICES)
    # What a worker held for longer than the broker waits was kept alive, and so not delivered again.
    assert {worker: await full_stack.redeliveries(worker) for worker in before} == before


async def oldest_is_older(full_stack: FullStack, worker: str, seconds: float) -> bool:
    """Whether the worker has held a message for so long."""
    [info] = await full_stack.consumers(worker, "EVENTS_HTTP")
    if not info["num_ack_pending"]:
        return False
    oldest = await full_stack.operator.jetstream.get("EVENTS_HTTP", sequence=info["ack_floor"]["stream_seq"] + 1)
    return time.time() - oldest.stored_at_ns / 1e9 > seconds


async def test_a_stream_that_is_full_refuses_and_loses_nothing(place_factory: PlaceFactory) -> None:
    place = place_factory.make("full")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    await provision.apply(place)
    full_stack = FullStack(place)
    try:
        core = await Broker.connect(place.nats, "provision", place.credentials_folder, prefix="$JS.API")
        for stream in ("EVENTS_HTTP", "EVENTS_NATS"):
            info = await core.jetstream.stream_info(stream)
            await core.jetstream.update_stream(info.config | {"max_bytes": 200_000})
        full_stack.make_keys()
        up.start_service(place, "ingress_0")

        accepted, refused = await fill(full_stack)
        info = await core.jetstream.stream_info("EVENTS_HTTP")
        assert info.messages == len(accepted) > 100

        billing = await Broker.connect(place.nats, "billing", place.credentials_folder)
        stored = await fill_directly(full_stack, billing)
        assert (await core.jetstream.stream_info("EVENTS_NATS")).messages == stored > 100

        await provision.apply(place)  # as the operator does: more room
        for body in refused:
            answer = await full_stack.post("web_shop", body, "cloudevents-batch+json")
            assert answer.status_code == 202, answer.text
            accepted |= {result["key"] for result in answer.json()["results"]}
        assert (await core.jetstream.stream_info("EVENTS_HTTP")).messages == len(accepted)
        for broker in (billing, core):
            await broker.drain(1.0)
    finally:
        up.clean(place)


async def fill(full_stack: FullStack) -> tuple[set[str], list[bytes]]:
    """Posts until the stream is full, and then once more; the keys accepted, and the requests that were refused."""
    accepted: set[str] = set()
    refused: list[bytes] = []
    event = full_stack.senders().event
    while len(refused) < 2:
        body = b"[" + b",".join([event("web_shop") for _ in range(40)]) + b"]"
        answer = await full_stack.post("web_shop", body, "cloudevents-batch+json")
        if answer.status_code == 503:
            assert_full(answer)
            refused.append(body)
        else:
            assert answer.status_code == 202, answer.text
        # A batch of which only a part found room says so event by event.
        accepted |= {result["key"] for result in answer.json()["results"] if result["status"] == "accepted"}
    return accepted, refused


def assert_full(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == PROBLEM
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "STREAM_FULL"
    unavailable = [result for result in answer.json()["results"] if result["status"] != "accepted"]
    assert unavailable
    assert {result["code"] for result in unavailable} == {"STREAM_FULL"}


async def fill_directly(full_stack: FullStack, billing: Broker) -> int:
    """Publishes as billing until the stream is full; how many were stored."""
    checked = full_stack.senders().checked
    stored: list[Stored] = []

    async def go_on() -> None:
        while len(stored) < 2_000:
            event = checked("billing", "nats")
            stored.append(await billing.publish(event.subject, event.raw))

    with pytest.raises(Unavailable, match="STREAM_FULL"):
        await go_on()
    return len(stored)


@pytest.mark.timeout(400)
async def test_sigterm_ends_each_process_with_all_its_messages_settled(full_stack: FullStack) -> None:
    await full_stack.settled()
    for name in SERVICES:
        worker = name.removesuffix("_0")
        async with full_stack.senders() as senders:
            await senders.more(200)
            if worker in WORKERS:
                await full_stack.in_hand(worker)
            record = full_stack.signal(name, signal.SIGTERM)
            assert await asyncio.to_thread(process.wait_gone, record, 15.0), f"{name} still runs 15 s after SIGTERM"
            assert process.exit_code(record) == 0, process.last_lines(full_stack.place.log(name))
            await full_stack.again(name)
        if worker in WORKERS:
            # Long before the broker would deliver again what had been left without a word.
            await full_stack.settled(worker, bound=ACK_WAIT / 2)
    await full_stack.assert_complete()


async def test_the_count_sees_an_event_that_is_missing(full_stack: FullStack) -> None:
    lost = full_stack.senders().checked("billing", "nats").key
    full_stack.accepted.add(lost)
    try:
        with pytest.raises(
            AssertionError, match=f"not indexed, stored, scored, scores stored: 1 events, such as {lost}"
        ):
            await full_stack.assert_complete()
    finally:
        full_stack.accepted.discard(lost)
