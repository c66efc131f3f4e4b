"""GET /v1/tail: stored events appear at once, to permitted readers only, and a slow reader learns what it missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from penstock.auth import api_keys
from penstock.contracts import subjects
from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress, event
from tests.support.until import BOUND, until


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


class Stream:
    """The server-sent events of a response; `id` is that of the last one."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.id = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        kind = data = ""
        async with asyncio.timeout(BOUND):
            async for line in self._lines:
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
                elif line.startswith("id: "):
                    self.id = line[4:]
                elif not line and kind:
                    return kind, orjson.loads(data)
        raise AssertionError("the stream ended")

    async def kind_of_next(self) -> str:
        return (await self.next())[0]

    async def ids(self, count: int) -> list[str]:
        found = [await self.next() for _ in range(count)]
        assert {kind for kind, _ in found} == {"event"}
        return [body["event"]["id"] for _, body in found]


@asynccontextmanager
async def tail(
    ingress: Ingress, key: str | None = None, *, last_seen: str = "", **params: Any
) -> AsyncIterator[Stream]:
    headers = dict(ingress.headers(key)) | ({"last-event-id": last_seen} if last_seen else {})
    async with ingress.client.stream("GET", "/v1/tail", params=params, headers=headers) as response:
        assert response.status_code == 200
        stream = Stream(response)
        assert await stream.next() == ("open", {})
        yield stream


async def test_a_stored_event_is_shown_as_its_record(ingress: Ingress) -> None:
    async with tail(ingress) as stream:
        [accepted] = (await ingress.send(event("a-1"))).json()["results"]
        kind, record = await stream.next()
    assert (kind, record["key"], record["sequence"]) == ("event", accepted["key"], accepted["sequence"])
    assert (record["publisher"], record["door"], record["event"]["id"]) == ("shop", "http", "a-1")


async def test_only_what_the_key_may_read_and_the_filters_let_pass_is_shown(ingress: Ingress) -> None:
    sample = event("b-2", type="metric.sample.v1", data={"name": "cpu", "value": 1})
    batch = [event("b-1"), sample, event("b-3", subject="web-2"), event("b-4", data={"message": "end"})]
    logs_only = ingress.make_key("logs_only", datasets=["logs"], roles=["reader"])
    async with (
        tail(ingress) as everything,
        tail(ingress, key=logs_only) as logs,
        tail(ingress, type="metric.sample.v1") as samples,
        tail(ingress, entity="web-2") as one,
    ):
        await ingress.send(batch)
        assert await everything.ids(4) == ["b-1", "b-2", "b-3", "b-4"]
        assert await logs.ids(3) == ["b-1", "b-3", "b-4"]
        assert await samples.ids(1) == ["b-2"]
        assert await one.ids(1) == ["b-3"]


async def test_direct_publishers_are_shown_but_not_what_breaks_the_contract(ingress: Ingress, rig: Rig) -> None:
    billing = await rig.broker("billing")
    good = orjson.dumps(event("c-1"))
    subject = subjects.event(subjects.partition("web-1"), "nats", "billing", "log.line.v1")
    async with tail(ingress) as stream:
        await billing.publish(subject, b'{"no":"event"}')
        await billing.publish(subjects.event(63, "nats", "billing", "log.line.v1"), good)
        await billing.publish(subject, good)
        kind, record = await stream.next()
    assert (kind, record["publisher"], record["event"]["id"]) == ("event", "billing", "c-1")


async def test_a_reader_that_comes_back_gets_what_it_has_missed_once(ingress: Ingress, rig: Rig) -> None:
    async with tail(ingress) as stream:
        await ingress.send([event("r-1"), event("r-2", subject="web-2")])
        assert await stream.ids(2) == ["r-1", "r-2"]
        seen = stream.id
    sample = event("r-4", type="metric.sample.v1", data={"name": "cpu", "value": 1})
    await ingress.send([event("r-3"), sample, event("r-5", subject="web-2")])
    billing = await rig.broker("billing")
    subject = subjects.event(subjects.partition("web-1"), "nats", "billing", "log.line.v1")
    await billing.request(subject, orjson.dumps(event("r-6")), timeout=BOUND)
    logs_only = ingress.make_key("logs_again", datasets=["logs"], roles=["reader"])
    async with (
        tail(ingress, last_seen=seen) as everything,
        tail(ingress, key=logs_only, last_seen=seen) as logs,
        tail(ingress, entity="web-2", last_seen=seen) as one,
        tail(ingress, last_seen="EVENTS_HTTP:" + seen.partition(":")[2].partition(",")[0]) as of_one_stream,
        tail(ingress, last_seen="NOTHING:7,x,EVENTS_HTTP:-1") as without,
    ):
        await ingress.send([event("r-7"), event("r-8", subject="web-2")])
        assert await everything.ids(6) == ["r-3", "r-4", "r-5", "r-6", "r-7", "r-8"]
        assert await logs.ids(5) == ["r-3", "r-5", "r-6", "r-7", "r-8"]
        assert await one.ids(2) == ["r-5", "r-8"]
        assert await of_one_stream.ids(5) == ["r-3", "r-4", "r-5", "r-7", "r-8"]
        assert await without.ids(2) == ["r-7", "r-8"]
        again = everything.id
    async with tail(ingress, last_seen=again) as stream:
        await ingress.send(event("r-9"))
        assert await stream.ids(1) == ["r-9"]


async def test_a_slow_reader_learns_how_much_it_missed(ingress: Ingress) -> None:
    labels = {str(n): "x" * 1000 for n in range(60)}
    rounds, size = 60, 10
    async with tail(ingress) as stream:
        for number in range(rounds):  # 36 MB: more than any buffer on the way
            batch = [event(f"d-{number}-{n}", data={"message": "m", "labels": labels}) for n in range(size)]
            assert (await ingress.send(batch)).status_code == 202
        shown = dropped = 0
        while shown + dropped < rounds * size:
            kind, body = await stream.next()
            if kind == "gap":
                dropped += body["dropped"]
            else:
                shown += 1
    assert dropped > 0
    assert shown + dropped == rounds * size
    assert ingress.peak_memory() < 150 * 1024 * 1024


async def test_a_slow_reader_gets_nothing_that_was_queued_once_its_key_is_revoked(ingress: Ingress) -> None:
    key = ingress.make_key("leaver", datasets=["logs"], roles=["reader"])
    labels = {str(n): "x" * 1000 for n in range(60)}
    async with tail(ingress, key) as slow, tail(ingress, key) as other:
        for number in range(40):  # 24 MB: more than any buffer on the way
            batch = [event(f"l-{number}-{n}", data={"message": "m", "labels": labels}) for n in range(10)]
            assert (await ingress.send(batch)).status_code == 202
        while await other.kind_of_next() != "gap":
            pass
        api_keys.revoke(ingress.place.keys, key.split("_")[1], now_ns=time.time_ns())
        assert await other.kind_of_next() == "end"
        kinds = [await slow.kind_of_next()]
        while kinds[-1] != "end":
            kinds.append(await slow.kind_of_next())
    assert kinds[-2:] == ["event", "end"]  # not the gap behind what was queued: all that was thrown away


async def test_tails_end_when_the_ingress_stops(rig: Rig, ingress: Ingress) -> None:
    async with tail(ingress) as stream:
        stopped = asyncio.create_task(ingress.stop_process())
        assert await stream.next() == ("end", {"code": "INGRESS_UNAVAILABLE"})
        await stopped
    await ingress.start()


async def test_what_is_stored_while_the_connection_breaks_is_shown_and_no_gap_is_claimed(
    rig: Rig, ingress: Ingress
) -> None:
    subject = subjects.event(subjects.partition("web-1"), "nats", "billing", "log.line.v1")

    async def publish(id: str) -> None:
        billing = await rig.broker("billing")
        await billing.request(subject, orjson.dumps(event(id)), timeout=BOUND)

    async with tail(ingress) as everything, tail(ingress, entity="web-1") as one, tail(ingress, entity="x") as other:
        await publish("b-1")
        assert await everything.ids(1) == await one.ids(1) == ["b-1"]
        rig.processes.kill("nats")
        rig.processes.restart("nats")
        await publish("b-2")  # perhaps before the ingress is back
        await ingress_is_ready(ingress)
        await ingress.send([event("b-3"), event("b-4", subject="x")])
        assert await everything.ids(3) == ["b-2", "b-3", "b-4"]
        assert await one.ids(2) == ["b-2", "b-3"]
        assert await other.ids(1) == ["b-4"]


async def ingress_is_ready(ingress: Ingress) -> None:
    async def look() -> bool:
        return (await ingress.client.get("/readyz")).status_code == 200

    await until(look)
