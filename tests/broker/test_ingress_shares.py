"""One client that takes all it can get of an ingress: the others, and health checks, are served meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from penstock.rpc.caller import RequestCaller
from penstock.rpc.server import serve
from tests.support.broker_rig import Rig
from tests.support.ingress import BATCHED, STRUCTURED, Ingress, event
from tests.support.until import BOUND, until

MIB = 1024 * 1024
CONNECTIONS = 40


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    settings = {
        "ingress_body_grace": 1.0,
        "ingress_body_floor": 64 * 1024,
        "ingress_connections": CONNECTIONS,
        "ingress_connections_reserve": 4,
        "ingress_first_byte_seconds": 1.0,
        "ingress_head_seconds": 1.0,
        "ingress_reader_seconds": 1.0,
        "ingress_tails_identity": 8,
        "ingress_queries_identity": 3,
    }
    ingress = await Ingress(rig.place.model_copy(update=settings)).start()
    yield ingress
    await ingress.stop()


class Wire:
    """One connection on which a test says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, str]:
        """Status and code of the next response."""
        async with asyncio.timeout(BOUND):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int((re.search(rb"content-length: (\d+)", head) or [b"", b"0"])[1])
            body = await self._reader.readexactly(length)
        return int(head.split()[1]), orjson.loads(body).get("code", "") if body else ""

    async def until(self, mark: bytes) -> bytes:
        """All that comes up to the mark."""
        async with asyncio.timeout(BOUND):
            return await self._reader.readuntil(mark)

    async def ended(self) -> bytes:
        """What still came until the other side closed."""
        async with asyncio.timeout(BOUND):
            return await self._reader.read(-1)


@asynccontextmanager
async def wire(ingress: Ingress) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", ingress.place.local_port("ingress"))
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def head(key: str, length: int, path: str = "/v1/events") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {STRUCTURED}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def closed(ingress: Ingress, why: str) -> float:
    found = re.findall(
        rf'^penstock_http_connections_closed_total{{why="{why}"}} (\S+)',
        (await ingress.client.get("/metrics")).text,
        re.M,
    )
    return float(found[0]) if found else 0.0


async def used_up(ingress: Ingress, share: str) -> float:
    found = re.findall(
        rf'^penstock_shares_exhausted_total{{share="{share}"}} (\S+)', (await ingress.client.get("/metrics")).text, re.M
    )
    return float(found[0])


async def test_lengths_that_are_only_announced_hold_nobody_up_and_slow_bodies_are_ended(ingress: Ingress) -> None:
    greedy = ingress.make_key("announcer", types=["*"], roles=["sender"])
    async with AsyncExitStack() as opened:
        wires = [await opened.enter_async_context(wire(ingress)) for _ in range(8)]
        for each in wires:
            await each.write(head(greedy, 8 * MIB) + b"{")
        search = await opened.enter_async_context(wire(ingress))
        await search.write(head("nobody", 200_000, "/v1/search") + b"{")  # the framework reads it before it asks who
        batch = orjson.dumps([event(f"honest-{n}", data={"message": "x" * 40_000}) for n in range(180)])  # 7 MB
        assert (await ingress.send(batch, content_type=BATCHED)).status_code == 202
        assert [await each.answer() for each in wires] == [(408, "REQUEST_TIMED_OUT")] * 8
        assert (await search.answer())[1] == "REQUEST_TIMED_OUT"
        assert [await each.ended() for each in (*wires, search)] == [b""] * 9


async def test_one_identity_cannot_use_up_the_bodies_of_the_others(ingress: Ingress) -> None:
    greedy = ingress.make_key("greedy_sender", types=["*"], roles=["sender"])
    before = await used_up(ingress, "body_identity")
    async with AsyncExitStack() as opened:
        wires = [await opened.enter_async_context(wire(ingress)) for _ in range(3)]
        for each in wires:
            await each.write(head(greedy, 8 * MIB) + b" " * (5 * MIB))
        first, _ = await asyncio.wait(
            [asyncio.create_task(each.answer()) for each in wires], return_when=asyncio.FIRST_COMPLETED
        )
        assert {each.result() for each in first} == {(429, "BODY_SHARE_USED")}
        assert (await ingress.send([event(f"beside-{n}") for n in range(500)])).status_code == 202
    assert await used_up(ingress, "body_identity") == before + 1


async def test_a_connection_that_says_nothing_or_does_not_read_is_closed(ingress: Ingress) -> None:
    get = b"GET %b HTTP/1.1\r\nHost: x\r\n"
    async with AsyncExitStack() as opened:
        silent, begun, again = [await opened.enter_async_context(wire(ingress)) for _ in range(3)]
        await begun.write(get % b"/livez")
        await again.write(get % b"/livez" + b"\r\n")
        assert (await again.answer())[0] == 200
        await again.write(get % b"/livez")
        for each in (silent, begun, again):
            assert await each.ended() == b""
        deaf = await opened.enter_async_context(wire(ingress))
        await deaf.write((get % b"/docs/swagger-ui-bundle.js" + b"\r\n") * 12)  # more than the system buffers

        async def noticed() -> bool:
            return await closed(ingress, "reader") > 0

        await until(noticed)
    assert await closed(ingress, "first_byte") >= 1
    assert await closed(ingress, "head") >= 2


async def test_idle_connections_make_room_and_health_is_answered_while_all_are_at_work(ingress: Ingress) -> None:
    keys = [ingress.make_key(f"follower_{n}", datasets=["*"], roles=["reader"]) for n in range(CONNECTIONS // 8)]
    async with AsyncExitStack() as opened:
        for _ in range(3 * CONNECTIONS):
            await opened.enter_async_context(wire(ingress))
        assert (await fresh(ingress, "/readyz")).status_code == 200
        assert (await fresh(ingress, "/v1/types")).status_code == 200
    assert await closed(ingress, "made_room") >= CONNECTIONS
    await ingress.client.aclose()
    ingress.client = httpx.AsyncClient(base_url=ingress.url, timeout=BOUND)
    async with AsyncExitStack() as opened:
        for number in range(CONNECTIONS):
            tail = await opened.enter_async_context(wire(ingress))
            await tail.write(head(keys[number % len(keys)], 0, "/v1/tail").replace(b"POST", b"GET"))
            assert b"event: open" in await tail.until(b"data: {}")
        assert (await fresh(ingress, "/readyz")).status_code == 200
        refused = await fresh(ingress, "/v1/types")
        assert (refused.status_code, refused.json()["code"]) == (503, "OVERLOADED")


async def fresh(ingress: Ingress, path: str) -> httpx.Response:
    """GET on a connection of its own."""
    async with httpx.AsyncClient(base_url=ingress.url, timeout=BOUND) as client:
        return await client.get(path, headers=ingress.headers())


async def test_one_reader_cannot_take_all_tails_and_gives_back_each_that_ends(ingress: Ingress) -> None:
    greedy = ingress.make_key("greedy_follower", datasets=["*"], roles=["reader"])
    other = ingress.make_key("other_follower", datasets=["*"], roles=["reader"])
    follow = head(greedy, 0, "/v1/tail").replace(b"POST", b"GET")
    before = await used_up(ingress, "tail_identity")
    async with AsyncExitStack() as opened:
        for _ in range(8):
            tail = await opened.enter_async_context(wire(ingress))
            await tail.write(follow)
            assert b"event: open" in await tail.until(b"data: {}")
        ninth = await opened.enter_async_context(wire(ingress))
        await ninth.write(follow)
        assert await ninth.answer() == (429, "TAIL_SHARE_USED")
        honest = await opened.enter_async_context(wire(ingress))
        await honest.write(head(other, 0, "/v1/tail").replace(b"POST", b"GET"))
        assert b"event: open" in await honest.until(b"data: {}")
    assert await used_up(ingress, "tail_identity") == before + 1
    # Clients that leave before they have read a single frame hold no place either.
    for _ in range(12):
        async with wire(ingress) as gone:
            await gone.write(follow)

    async def free_again() -> bool:
        async with wire(ingress) as tail:
            await tail.write(follow)
            return b" 200 " in (await tail.until(b"\r\n"))

    await until(free_again)

    async def none_left() -> bool:
        return "\npenstock_tail_clients 0.0\n" in (await ingress.client.get("/metrics")).text

    await until(none_left)


async def test_one_reader_cannot_take_all_questions(ingress: Ingress, rig: Rig) -> None:
    greedy = ingress.make_key("greedy_reader", datasets=["*"], roles=["reader"])
    other = ingress.make_key("other_reader", datasets=["*"], roles=["reader"])
    release, asked = asyncio.Event(), asyncio.Semaphore(0)

    async def query(_: dict[str, Any], __: RequestCaller) -> dict[str, Any]:
        asked.release()
        await release.wait()
        return {"events": []}

    responder = await serve(await rig.broker("indexer"), "search", {"query": query})

    async def search(key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return await ingress.client.post("/v1/search", json={"text": "x"}, headers=headers)

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        tasks = [group.create_task(search(greedy)) for _ in range(3)]
        for _ in tasks:
            await asked.acquire()
        refused = await search(greedy)
        tasks.append(group.create_task(search(other)))
        await asked.acquire()
        release.set()
    assert (refused.status_code, refused.json()["code"]) == (429, "QUERY_SHARE_USED")
    assert [task.result().status_code for task in tasks] == [200] * 4
    assert await used_up(ingress, "query_identity") == 1
    assert (await search(greedy)).status_code == 200
    await responder.stop()
