"""The library as a service uses it, with the rights that the service really has; and the examples, as they are."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

import penstock
from penstock import Published, Publisher, Refused, Unavailable, connect
from penstock.contracts import load
from penstock.events import Checker, timestamps
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import SearchQuery
from penstock.rpc.server import serve
from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig
from tests.support.until import BOUND

STREAM = "EVENTS_NATS"


@asynccontextmanager
async def as_(rig: Rig, identity: str) -> AsyncIterator[Publisher]:
    async with connect(identity, url=rig.place.nats, credentials=rig.place.credentials_folder) as publisher:
        yield publisher


@pytest.fixture(scope="module")
async def billing(rig: Rig) -> AsyncIterator[Publisher]:
    async with as_(rig, "billing") as publisher:
        yield publisher


async def test_a_published_event_is_stored_where_the_workers_look(billing: Publisher, rig: Rig) -> None:
    raw = billing.event("log.line.v1", {"message": "paid"}, entity="shop-1")
    published = await billing.publish(raw)
    [message] = await rig.stored(STREAM, published.sequence)
    event = Checker(load()).delivered(message)
    assert (event.raw, event.key, event.publisher, event.entity) == (raw, published.key, "billing", "shop-1")
    assert published == Published(event.key, STREAM, message.sequence)


async def test_an_event_without_a_time_that_is_published_again_is_the_same_one(billing: Publisher, rig: Rig) -> None:
    event = orjson.loads(billing.event("log.line.v1", {"message": "paid"}, entity="shop-1"))
    del event["time"]
    first, again = await billing.publish(event), await billing.publish(dict(event))
    assert first.key == again.key
    assert first.sequence != again.sequence
    assert len({message.data for message in await rig.stored(STREAM, first.sequence)}) == 1


async def test_many_events_get_a_result_each_in_their_order(billing: Publisher, rig: Rig) -> None:
    events: list[Any] = [billing.event("log.line.v1", {"message": str(n)}, entity="shop-1") for n in range(500)]
    events[3] = billing.event("log.line.v1", {}, entity="shop-1")
    events[4] = billing.event("metric.sample.v1", {"name": "n", "value": 1}, entity="x")
    events[5] = {"specversion": "1.0", "id": b"no text"}
    first = await rig.next_sequence(STREAM)
    results = await billing.publish_many(events)
    codes = [result.code if isinstance(result, Refused) else "" for result in results]
    assert codes[3:6] == ["SCHEMA_VIOLATION", "FORBIDDEN", "JSON_INVALID"]
    assert not any(codes[:3] + codes[6:])
    stored = await rig.stored(STREAM, first)
    assert [orjson.loads(message.data)["data"]["message"] for message in stored] == [
        str(n) for n in range(500) if n not in (3, 4, 5)
    ]


async def test_the_same_id_and_time_give_the_same_key(billing: Publisher) -> None:
    now = time.time_ns()
    first, second = [
        await billing.publish(billing.event("log.line.v1", {"message": "m"}, entity="e", id="7", time_ns=now))
        for _ in range(2)
    ]
    assert first.key == second.key
    assert (await billing.publish(billing.event("log.line.v1", {"message": "m"}, entity="e"))).key != first.key


async def test_what_breaks_the_contract_is_refused_before_it_is_sent(billing: Publisher, rig: Rig) -> None:
    before = await rig.next_sequence(STREAM)
    late = timestamps.text(time.time_ns() - 40 * 365 * 86_400 * 10**9)
    event = orjson.loads(billing.event("log.line.v1", {"message": "m"}, entity="e")) | {"time": late}
    with pytest.raises(Refused) as refused:
        await billing.publish(event)
    assert refused.value.code == "TIME_OUT_OF_BOUNDS"
    assert await rig.next_sequence(STREAM) == before


async def test_an_identity_without_permission_may_neither_follow_nor_request(billing: Publisher) -> None:
    with pytest.raises(Refused) as refused:
        async with billing.follow():
            pass
    assert refused.value.code == "FORBIDDEN"
    with pytest.raises(Refused) as refused:
        await billing.ask("search", "query", SearchQuery())
    assert refused.value.code == "FORBIDDEN"


async def test_followers_see_what_is_stored_with_its_place(billing: Publisher, rig: Rig) -> None:
    async with as_(rig, "dashboard") as dashboard, dashboard.follow("log.line.v1") as events:
        await billing.publish(billing.event("user.interaction.v1", {"action": "click"}, entity="s"))
        published = await billing.publish(billing.event("log.line.v1", {"message": "seen"}, entity="e"))
        async with asyncio.timeout(BOUND):
            event = await anext(events)
    assert (event.key, event.stream, event.sequence) == (published.key, STREAM, published.sequence)
    assert event.value["data"]["message"] == "seen"


async def test_a_follower_that_falls_behind_learns_how_much_it_missed(billing: Publisher, rig: Rig) -> None:
    async with as_(rig, "dashboard") as dashboard, dashboard.follow(most=5) as events:
        sent = [billing.event("log.line.v1", {"message": str(n)}, entity="e") for n in range(20)]
        await billing.publish_many(sent)
        await dashboard.broker.flush()
        async with asyncio.timeout(BOUND):
            seen = [orjson.loads((await anext(events)).raw)["data"]["message"] for _ in range(5)]
            with pytest.raises(Unavailable):
                await anext(events)
    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_request_is_answered(rig: Rig) -> None:
    async def query(request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        return {"hits": [], "asked": request["text"], "by": caller.identity}

    indexer = await rig.broker("indexer")
    responder = await serve(indexer, "search", {"query": query})
    await indexer.flush()
    async with as_(rig, "dashboard") as dashboard:
        answer = await dashboard.ask("search", "query", SearchQuery(text="disk"))
    assert (answer["asked"], answer["by"]) == ("disk", "dashboard")
    await responder.stop()


async def test_a_publish_survives_a_restart_of_the_server(billing: Publisher, rig: Rig) -> None:
    rig.processes.kill("nats")
    publishing = asyncio.create_task(billing.publish(billing.event("log.line.v1", {"message": "m"}, entity="e")))
    await asyncio.to_thread(rig.processes.restart, "nats")
    assert (await publishing).stream == STREAM


async def run(rig: Rig, name: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHECKOUT / "examples" / name), *arguments,
        env={**os.environ, **rig.place.environment(), **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def test_the_examples_do_what_they_say(rig: Rig) -> None:
    async with asyncio.timeout(BOUND):
        following = await run(rig, "follow.py", "1")
        assert following.stdout
        assert await following.stdout.readline() == b"following\n"
        publishing = await run(rig, "publish.py")
        said, _ = await publishing.communicate()
        seen, _ = await following.communicate()
    lines = said.decode().splitlines()
    key = lines[0].split()[2]
    assert lines[0].startswith(f"on disk: {key} as EVENTS_NATS ")
    assert lines[1] == "on disk: 100 interactions"
    assert lines[2].startswith("refused: SCHEMA_VIOLATION")
    assert seen.decode().split() == [key, "billing", "shop-1", "invoice", "17", "paid"]


def test_the_public_api_exports_its_names() -> None:
    assert all(getattr(penstock, name) is not None for name in penstock.__all__)
    with pytest.raises(AttributeError):
        _ = penstock.nothing
