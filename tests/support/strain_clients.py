"""Clients that strain the stack, each kind a process of its own: `python -m tests.support.strain_clients <kind>`.

A process reads its `Orders` from stdin, works until stdin is closed, and ends with its counts. It has a low priority
and waits between requests as `Retry-After` says, so that what slows honest clients is the stack and
not the processor time that these programs take.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import httpx
import orjson

from penstock.auth.connect import connect_as
from penstock.contracts.subjects import partition
from penstock.errors import PenstockError
from penstock.events import timestamps
from penstock.settings import Settings

NICE = 10
BATCH = 5_000  # events, as many as a request may have
DAY_NS = 86_400 * 10**9
PAUSE = 0.05  # seconds between two attempts of a stranger


@dataclass(frozen=True)
class Orders:
    """Where to, as whom, from which address."""

    port: int
    ca: str
    address: str
    key: str = ""
    connections: int = 8
    past_days: int = 30  # over which `time` is spread
    now_ns: int = 0


Kind = Callable[[Orders, Counter[str]], Awaitable[None]]


def _client(orders: Orders) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=orders.ca)
    limits = httpx.Limits(max_connections=orders.connections, max_keepalive_connections=orders.connections)
    transport = httpx.AsyncHTTPTransport(verify=context, local_address=orders.address, limits=limits)
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{orders.port}", transport=transport, timeout=60,
        headers={"authorization": f"Bearer {orders.key}"},
    )  # fmt: skip


async def greedy_sender(orders: Orders, counts: Counter[str]) -> None:
    """Full batches on every connection, each event of another day: the next as soon as the last is answered."""
    items = [
        {
            "specversion": "1.0", "id": f"@@@@@@@@-{number}", "source": "/greedy", "type": "log.line.v1",
            "subject": f"greedy-{number % 500}",
            "time": timestamps.text(orders.now_ns - number % max(orders.past_days, 1) * DAY_NS),
            "data": {"message": f"want more and more of it {number} " + "x" * 40},
        }
        for number in range(BATCH)
    ]  # fmt: skip
    template = orjson.dumps(items)
    turns = itertools.count()
    headers = {"content-type": "application/cloudevents-batch+json"}

    async def send(client: httpx.AsyncClient) -> None:
        while True:
            body = template.replace(b"@@@@@@@@", b"%08d" % next(turns))
            await _one(client.post("/v1/events", content=body, headers=headers), counts)

    async with _client(orders) as client:
        await asyncio.gather(*(send(client) for _ in range(orders.connections)))


async def greedy_reader(orders: Orders, counts: Counter[str]) -> None:
    """The deepest pages, the widest prefixes, the largest answers, and every tail that it can open."""

    async def tail(client: httpx.AsyncClient) -> None:
        while True:
            try:
                async with client.stream("GET", "/v1/tail") as answer:
                    counts[f"tail {answer.status_code}"] += 1
                    async for _ in answer.aiter_raw():
                        pass
            except httpx.HTTPError as error:
                counts[f"tail {type(error).__name__}"] += 1
            await asyncio.sleep(1)

    async def query(client: httpx.AsyncClient) -> None:
        deep: dict[str, object] = {"text": "want", "size": 100, "sort": "time"}
        for turn in itertools.count():
            if turn % 3 == 0:
                wide = {"filters": [{"field": "@entity", "op": "prefix", "value": "gr"}], "size": 100}
                await _one(client.post("/v1/search", json=wide), counts)
                continue
            answer = await _one(client.post("/v1/search", json=deep), counts)
            if answer is not None and answer.status_code == 200:
                cursor = answer.json().get("cursor")
                deep = {**deep, "cursor": cursor} if cursor else {k: v for k, v in deep.items() if k != "cursor"}

    async with _client(orders) as questions, _client(orders) as tails:
        await asyncio.gather(
            *(query(questions) for _ in range(orders.connections)), *(tail(tails) for _ in range(orders.connections))
        )


async def _one(request: Awaitable[httpx.Response], counts: Counter[str]) -> httpx.Response | None:
    """One answer, counted; whoever is refused waits as it says."""
    try:
        answer = await request
    except httpx.HTTPError as error:
        counts[type(error).__name__] += 1
        await asyncio.sleep(1)
        return None
    code = answer.json().get("code", "") if answer.status_code >= 400 else ""
    counts[f"{answer.status_code} {code}".strip()] += 1
    if answer.status_code in (429, 503):
        await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
    return answer


async def poison_publisher(orders: Orders, counts: Counter[str]) -> None:
    """What breaks the contract, over NATS, as fast as the stream takes it."""
    broker = await connect_as("billing", Settings())
    bad = [
        orjson.dumps(
            {"specversion": "1.0", "id": "1", "source": "/", "type": "log.line.v1", "subject": "a", "data": 7}
        ),
        b"\xff\xfe not JSON",
        b'{"specversion":"0.3"}',
        b"[" * 2_000,
    ]

    async def publish() -> None:
        for payload in itertools.cycle(bad):
            subject = f"evt.{partition('a')}.nats.billing.log.line.v1"
            try:
                await broker.publish(subject, payload, timeout=10)
            except PenstockError as error:
                counts[error.code] += 1
                await asyncio.sleep(1)
            else:
                counts["stored"] += 1

    await asyncio.gather(*(publish() for _ in range(orders.connections)))


async def strangers(orders: Orders, counts: Counter[str]) -> None:
    """Without credentials: silence, hellos that never come, bodies that do not, wrong tokens, wrong paths."""
    context = ssl.create_default_context(cafile=orders.ca)
    host = f"Host: 127.0.0.1:{orders.port}\r\n".encode()
    token = b"Authorization: Bearer pk_0a1b2c3d_" + b"A" * 43 + b"\r\n"
    said = {
        "silent": b"",
        "half a head": b"GET /v1/types HTTP/1.1\r\n" + host,
        "announced": b"POST /v1/events HTTP/1.1\r\n" + host + token + b"Content-Length: 8000000\r\n\r\n[",
        "slow": b"POST /v1/events HTTP/1.1\r\n" + host + token + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
        "wrong token": b"GET /v1/types HTTP/1.1\r\n" + host + b"Authorization: Bearer e30.e30.e30\r\n\r\n",
        "wrong path": b"GET /../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n",
    }

    async def one(name: str, tls: bool) -> None:
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", orders.port, ssl=context if tls else None, local_addr=(orders.address, 0)
                )
                writer.write(said[name])
                async with asyncio.timeout(30):
                    while await reader.read(65536):
                        pass
                counts[f"{name} closed"] += 1
            except (OSError, TimeoutError) as error:
                counts[f"{name} {type(error).__name__}"] += 1
            finally:
                if writer is not None:
                    writer.transport.abort()
            await asyncio.sleep(PAUSE if tls else 0.5)

    no_hello = [one("silent", False) for _ in range(orders.connections)]
    await asyncio.gather(*no_hello, *(one(name, True) for name in said for _ in range(4)))


KINDS: dict[str, Kind] = {
    "greedy_sender": greedy_sender,
    "greedy_reader": greedy_reader,
    "poison_publisher": poison_publisher,
    "strangers": strangers,
}


async def _main(kind: Kind, orders: Orders) -> Counter[str]:
    counts: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(kind(orders, counts))
    over = loop.run_in_executor(None, sys.stdin.readline)
    await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        work.result()
    work.cancel()
    await asyncio.wait([work])
    return counts


def encode(orders: Orders) -> bytes:
    """A line for stdin."""
    return orjson.dumps(asdict(orders)) + b"\n"


if __name__ == "__main__":
    os.nice(NICE)
    given = Orders(**orjson.loads(sys.stdin.readline()))
    print(orjson.dumps(asyncio.run(_main(KINDS[sys.argv[1]], given))).decode(), flush=True)
    os._exit(0)
