"""Connections without credentials: of one address they are bounded, and none of them stays for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import pytest

from penstock.stack.place import Place
from tests.support.edge import KEY, Edge, Upstream, trusting
from tests.support.place_factory import PlaceFactory
from tests.support.until import BOUND, until

CONNECTIONS, OF_ADDRESS = 40, 25


@pytest.fixture(scope="module")
def place(place_factory: PlaceFactory, haproxy: None) -> Place:
    return trusting(place_factory.make("edge-connections"))[0]


@pytest.fixture(scope="module")
async def upstream(place: Place) -> AsyncIterator[Upstream]:
    async with Upstream(place.local_port("ingress")) as upstream:
        yield upstream


@pytest.fixture
async def edge(place: Place, upstream: Upstream) -> AsyncIterator[Edge]:
    edge = await Edge(place, CONNECTIONS=CONNECTIONS, ADDRESS_CONNECTIONS=OF_ADDRESS, HANDSHAKE=2).start()
    yield edge
    await edge.close()


@asynccontextmanager
async def silent(edge: Edge) -> AsyncIterator[asyncio.StreamReader]:
    """A connection on which no handshake begins; it may be reset at once."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.place.local_port("edge"))
    except ConnectionResetError:
        reader = asyncio.StreamReader()
        reader.feed_eof()
        yield reader
        return
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> None:
    """Returns when the edge has closed."""
    async with asyncio.timeout(BOUND):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


def of_another_address(edge: Edge) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2", verify=edge.context)
    return httpx.AsyncClient(base_url=edge.url, transport=transport, timeout=BOUND)


async def test_an_address_with_silent_connections_shuts_nobody_else_out_and_is_free_again_soon(edge: Edge) -> None:
    await edge.client.aclose()  # its connections would be of the same address
    async with AsyncExitStack() as opened:
        readers = [await opened.enter_async_context(silent(edge)) for _ in range(CONNECTIONS + 10)]
        async with of_another_address(edge) as other:
            answer = await other.get("/v1/types", headers={"authorization": f"Bearer {KEY}"})
            assert answer.status_code == 200
        stats = f"http://127.0.0.1:{edge.place.local_port('edge_stats')}"
        async with httpx.AsyncClient(base_url=stats, timeout=BOUND) as monitoring:
            assert (await monitoring.get("/readyz")).status_code == 200
            metrics = (await monitoring.get("/metrics")).text
        assert f'haproxy_frontend_denied_connections_total{{proxy="tls"}} {CONNECTIONS + 10 - OF_ADDRESS}' in metrics
        for reader in readers:
            await ended(reader)
    assert (await edge.anew(KEY)).status_code == 200


async def test_a_request_may_take_longer_than_a_handshake(edge: Edge, upstream: Upstream) -> None:
    release = asyncio.Event()

    async def hold() -> None:
        await release.wait()

    upstream.hold = hold
    upstream.seen.clear()
    try:
        async with AsyncExitStack() as opened, asyncio.TaskGroup() as group:
            task = group.create_task(edge.anew(KEY))
            await until(lambda: upstream.seen)
            for _ in range(2):
                await ended(await opened.enter_async_context(silent(edge)))
            release.set()
    finally:
        upstream.hold = None
    assert task.result().status_code == 200
