"""An honest sender and an honest reader: a few requests a second through the edge, each at its time whatever became of
the last, and how long each took from the time at which it was due."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import orjson

SENDS, READS = 10.0, 5.0  # requests a second: what a service or a person makes, and far below what one core does
PATIENCE = 30.0


@dataclass
class Run:
    """What became of the requests of one client."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def success(self) -> float:
        """The part that was answered as asked."""
        return 1 - len(self.failed) / len(self.seconds)

    def percentile(self, part: float) -> float:
        """Seconds within which this part of the requests was answered: the nearest rank."""
        return sorted(self.seconds)[math.ceil(part * len(self.seconds)) - 1]

    def __str__(self) -> str:
        p50, p99 = (1000 * self.percentile(part) for part in (0.5, 0.99))
        return f"{len(self.seconds)} requests, {self.success:.2%} answered, p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def client(url: str, context: ssl.SSLContext, address: str, key: str) -> httpx.AsyncClient:
    """A client of the edge from a loopback address of its own, as limits count addresses and identities."""
    transport = httpx.AsyncHTTPTransport(verify=context, local_address=address)
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=url, transport=transport, timeout=PATIENCE, headers=headers)


async def run(sender: httpx.AsyncClient, reader: httpx.AsyncClient, seconds: float) -> tuple[Run, Run]:
    """Sends and reads for so long."""

    async def send(number: int) -> httpx.Response:
        event = {
            "specversion": "1.0", "id": f"{time.time_ns()}", "source": "/honest", "type": "log.line.v1",
            "subject": f"honest-{number % 10}", "data": {"message": f"honest line {number} about an order"},
        }  # fmt: skip
        headers = {"content-type": "application/cloudevents+json"}
        return await sender.post("/v1/events", content=orjson.dumps(event), headers=headers)

    async def read(number: int) -> httpx.Response:
        if number % 2:
            return await reader.post("/v1/search", json={"text": "honest order", "size": 10})
        return await reader.get("/v1/timeline", params={"entity": f"honest-{number % 10}", "limit": 20})

    sent, answered = await asyncio.gather(_paced(SENDS, seconds, send, 202), _paced(READS, seconds, read, 200))
    return sent, answered


async def _paced(rate: float, seconds: float, ask: Callable[[int], Awaitable[httpx.Response]], good: int) -> Run:
    run = Run()
    began = time.monotonic()

    async def one(number: int) -> None:
        due = began + number / rate
        try:
            answer = await ask(number)
            if answer.status_code != good:
                run.failed.append(answer.text)
        except httpx.HTTPError as error:
            run.failed.append(repr(error))
        run.seconds.append(time.monotonic() - due)

    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0.0))
            tasks.create_task(one(number))
    return run
