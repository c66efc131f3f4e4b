"""Publishers under faults: each sends batch after batch, the same bytes again until they are accepted, and keeps the
keys that it was given.

    HTTP publishers ─▶ POST /v1/events ─▶ 202 with keys     billing ─▶ its own subjects ─▶ the stream's answer

What a real client does: 503 and broken connections are tried again with the same ids; anything else is a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import httpx
import orjson

from penstock.broker import Broker
from penstock.contracts import load
from penstock.contracts.subjects import Door
from penstock.errors import Unavailable
from penstock.events import Checker, Event, timestamps
from penstock.stack.place import Place
from tests.support.until import until

BOUND = 120.0  # seconds after which a batch that nobody accepts fails the test
LONGEST_WAIT = 2.0  # seconds between two tries; shorter than a server may ask for, so that a test does not wait for it
LINES = (
    "user {} logged in from 10.0.0.{}",
    "request {} took {} ms",
    "payment {} refused: card {} expired",
    "connection {} closed by peer after {} s",
)

# Tries to hand over one batch: the keys of its events, or None when it must be sent again.
Try = Callable[[list[bytes]], Awaitable[list[str] | None]]


class Senders:
    """`async with Senders(...)`: they send meanwhile. At the end each finishes the batch in its hands."""

    def __init__(
        self, place: Place, keys: dict[str, str], *, batch: int = 50, gap: float = 0.4, direct: bool = True
    ) -> None:
        """`keys` are HTTP keys by publisher; each sends `batch` events every `gap` seconds, `billing` one tenth."""
        self.accepted: set[str] = set()
        self.refusals: Counter[str] = Counter()  # what made a batch go again
        self._place = place
        self._keys = keys
        self._batch = batch
        self._gap = gap
        self._direct = direct
        self._checker = Checker(load())
        self._numbers = itertools.count()
        self._run = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Senders:
        self._tasks = [asyncio.create_task(self._over_http(*each)) for each in self._keys.items()]
        if self._direct:
            self._tasks.append(asyncio.create_task(self._over_nats("billing")))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if kind is not None:
            for task in self._tasks:
                task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if kind is None:
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    async def more(self, count: int, bound: float = BOUND) -> None:
        """Waits until `count` more events are accepted."""
        goal = len(self.accepted) + count
        await self._wait(lambda: len(self.accepted) >= goal, bound, f"{count} more events accepted")

    async def see_failures(self, count: int = 1, bound: float = BOUND) -> None:
        """Waits until `count` more tries have failed, so that senders have seen the fault."""
        goal = self.refusals.total() + count
        await self._wait(lambda: self.refusals.total() >= goal, bound, f"{count} tries failed")

    async def _wait(self, condition: Callable[[], bool], bound: float, what: str) -> None:
        def look() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return condition()

        await until(look, bound, lambda: f"{what}; so far: {dict(self.refusals)}")

    # -- sending

    async def _over_http(self, publisher: str, key: str) -> None:
        url = f"http://127.0.0.1:{self._place.local_port('ingress')}"
        headers = {"authorization": f"Bearer {key}", "content-type": "application/cloudevents-batch+json"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20.0) as client:

            async def post(events: list[bytes]) -> list[str] | None:
                body = b"[" + b",".join(events) + b"]"
                try:
                    answer = await client.post("/v1/events", content=body)
                except httpx.TransportError as error:
                    await self._again(type(error).__name__)
                    return None
                if answer.status_code == 503:
                    code = answer.json()["code"]
                    await self._again(f"503 {code}", float(answer.headers["retry-after"]))
                    return None
                assert answer.status_code == 202, answer.text
                results: list[dict[str, Any]] = answer.json()["results"]
                assert all(result["status"] in ("accepted", "duplicate") for result in results), answer.text
                return [result["key"] for result in results]

            while not self._stop.is_set():
                await self._deliver(post, [self.event(publisher) for _ in range(self._batch)])
                await self._pause(self._gap)

    async def _over_nats(self, publisher: str) -> None:
        broker = await Broker.connect(self._place.nats, publisher, self._place.credentials_folder)
        try:

            async def publish(events: list[bytes]) -> list[str] | None:
                event = self._check(events[0], publisher, "nats")
                try:
                    await broker.publish(event.subject, event.raw, timeout=5.0)
                except Unavailable as error:
                    await self._again(error.code, error.retry_after or 0.5)
                    return None
                return [event.key]

            while not self._stop.is_set():
                await self._deliver(publish, [self.event(publisher)])
                await self._pause(10 * self._gap / self._batch)
        finally:
            await broker.drain(1.0)

    async def _deliver(self, attempt: Try, events: list[bytes]) -> None:
        deadline = time.monotonic() + BOUND
        while (keys := await attempt(events)) is None:
            assert time.monotonic() < deadline, f"a batch was not accepted within {BOUND:.0f} s: {dict(self.refusals)}"
        self.accepted.update(keys)

    async def _again(self, unready_reason: str, wait: float = 0.2) -> None:
        self.refusals[unready_reason] += 1
        await asyncio.sleep(min(wait, LONGEST_WAIT))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def checked(self, publisher: str, door: Door) -> Event:
        """A new event with the key and the subject that it has on the stream."""
        return self._check(self.event(publisher), publisher, door)

    def _check(self, raw: bytes, publisher: str, door: Door) -> Event:
        return self._checker.at_ingress(raw, publisher=publisher, door=door, now_ns=time.time_ns())

    def event(self, publisher: str) -> bytes:
        """A new event: log lines of many hosts, and every fourth one a sample."""
        number = next(self._numbers)
        envelope: dict[str, Any] = {"specversion": "1.0", "id": f"{self._run}-{number}", "source": f"/{publisher}"}
        envelope["time"] = timestamps.text(time.time_ns() // 1_000_000 * 1_000_000)
        if number % 4 or publisher == "billing":
            line = LINES[number % len(LINES)].format(number, number % 97)
            envelope |= {"type": "log.line.v1", "subject": f"host-{number % 61}", "data": {"message": line}}
        else:
            data = {"name": "load", "value": float(number % 89), "kind": "gauge"}
            envelope |= {"type": "metric.sample.v1", "subject": f"series-{number % 31}", "data": data}
        return orjson.dumps(envelope)
