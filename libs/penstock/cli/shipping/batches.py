"""events → batches → POST /v1/events, several at a time → counts by result.

All events of an entity go the same way, one batch after the other, so that they are stored as they were read. Only
events that cannot be stored now are sent again, after a delay; sending an event twice is safe.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import httpx
import orjson

from penstock.cli.client import TIMEOUT, Bearer, api_url, raise_for, unreachable
from penstock.cli.trust import trusted
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.events import MAX_EVENT_BYTES

BATCH_BYTES = 1024 * 1024
REACH = 10.0  # seconds for which an API that has never answered is tried
# Errors of a whole request that one of its events may have caused: it is sent in halves then.
_SPLIT = (400, 413)
PATH = "/v1/events"
CONTENT_TYPE = {"content-type": "application/cloudevents-batch+json"}


@dataclass(slots=True)
class Refusals:
    """Events refused with one code, and the first of them."""

    count: int
    detail: str
    pointer: str
    event: str


@dataclass(slots=True)
class Shipped:
    """Results so far. `read` counts the events read, `retries` the requests sent again."""

    read: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: dict[str, Refusals] = field(default_factory=dict)
    retries: int = 0
    durable: bool = True

    @property
    def settled(self) -> int:
        """Events with a final result."""
        return self.accepted + self.duplicate + sum(each.count for each in self.refused.values())


def entity_of(event: bytes) -> bytes:
    """What an event is about, as far as order goes; empty where it is none."""
    try:
        value = orjson.loads(event)
        found = value.get("subject")
        return (str(value.get("source")) + str(value.get("id")) if found is None else str(found)).encode()
    except (orjson.JSONDecodeError, AttributeError):
        return b""


class Shipper:
    """Sends batches of up to `batch` events, `concurrency` at a time, each of other entities; gives up a batch after
    `patience` seconds, or after REACH where the API has never been reached: its address may be wrong.

    `seen` is called with the API's result for each event that got one, `waits` with the reason and the seconds when a
    batch is tried again for the first time since one was taken.
    """

    def __init__(
        self,
        *,
        batch: int = 500,
        concurrency: int = 4,
        patience: float = 300.0,
        seen: Callable[[dict[str, Any]], None] = lambda _: None,
        waits: Callable[[PenstockError, float], None] = lambda _, __: None,
    ) -> None:
        self.shipped = Shipped()
        self._seen = seen
        self._batch = batch
        self._concurrency = concurrency
        self._patience = patience
        self._waits = waits
        self._is_reached = self._is_waiting = False

    async def run(self, events: Iterable[bytes], progress: Callable[[Shipped], None] = lambda _: None) -> Shipped:
        """Sends all events. Raises PenstockError for what stops everything, e.g. UNAUTHENTICATED."""
        queues: list[asyncio.Queue[list[bytes] | None]] = [asyncio.Queue(maxsize=1) for _ in range(self._concurrency)]
        limits = httpx.Limits(max_connections=self._concurrency)
        async with (
            httpx.AsyncClient(
                base_url=api_url(), auth=Bearer(), timeout=TIMEOUT, limits=limits, verify=trusted(api_url())
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for queue in queues:
                tasks.create_task(self._send_all(client, queue, progress))
            for lane, batch in self._batches(events):
                await queues[lane].put(batch)
                await asyncio.sleep(0)  # it is on its way while the next ones are read
            for queue in queues:
                await queue.put(None)
        return self.shipped

    def _batches(self, events: Iterable[bytes]) -> Iterable[tuple[int, list[bytes]]]:
        """Batches, and which of the senders each is for."""
        batches: list[list[bytes]] = [[] for _ in range(self._concurrency)]
        sizes = [0] * self._concurrency
        for event in events:
            self.shipped.read += 1
            if len(event) > MAX_EVENT_BYTES:
                detail = f"the event has {len(event)} bytes; at most {MAX_EVENT_BYTES} are taken"
                self._refuse("EVENT_TOO_LARGE", {"detail": detail}, event)
                continue
            lane = crc32(entity_of(event)) % self._concurrency
            batch = batches[lane]
            if batch and (len(batch) == self._batch or sizes[lane] + len(event) > BATCH_BYTES):
                yield lane, batch
                batch = batches[lane] = []
                sizes[lane] = 0
            batch.append(event)
            sizes[lane] += len(event) + 1
        yield from ((lane, batch) for lane, batch in enumerate(batches) if batch)

    async def _send_all(
        self, client: httpx.AsyncClient, queue: asyncio.Queue[list[bytes] | None], progress: Callable[[Shipped], None]
    ) -> None:
        while (batch := await queue.get()) is not None:
            await self._send(client, batch)
            progress(self.shipped)

    async def _send(self, client: httpx.AsyncClient, batch: list[bytes]) -> None:
        began, wait = time.monotonic(), 0.5
        while batch:
            try:
                response = await client.post(PATH, content=b"[" + b",".join(batch) + b"]", headers=CONTENT_TYPE)
                self._is_reached = True
                try:
                    batch = self._count(response, batch)
                except Refused as error:
                    if response.status_code not in _SPLIT:
                        raise
                    await self._halve(client, batch, error)
                    return
                if not batch:
                    self._is_waiting = False
                    return
                after = float(response.headers.get("retry-after", "1"))
                failure = Unavailable("BROKER_UNAVAILABLE", "the API cannot store events now")
            except httpx.TransportError as error:
                after, failure = wait, unreachable(error)
            except Unavailable as error:
                after, failure = error.retry_after or wait, error
            patience = self._patience if self._is_reached else min(REACH, self._patience)
            if time.monotonic() + after > began + patience:
                raise failure
            if not self._is_waiting:
                self._is_waiting = True
                self._waits(failure, patience)
            self.shipped.retries += 1
            await asyncio.sleep(after * random.uniform(1.0, 1.5))  # noqa: S311 - so that senders do not come at once
            wait = min(wait * 2, 10.0)

    async def _halve(self, client: httpx.AsyncClient, batch: list[bytes], error: Refused) -> None:
        """One event must not stop those beside it."""
        if len(batch) == 1:
            self._refuse(error.code, {"detail": error.detail, "pointer": error.pointer}, batch[0])
            return
        middle = len(batch) // 2
        await self._send(client, batch[:middle])
        await self._send(client, batch[middle:])

    def _count(self, response: httpx.Response, batch: list[bytes]) -> list[bytes]:
        """Enters the results; returns the events to send again."""
        try:
            body: dict[str, Any] = orjson.loads(response.content)
            results = body["results"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise_for(response)
            raise
        shipped = self.shipped
        shipped.durable = shipped.durable and body.get("durable", True)
        again = []
        for result in results:
            event = batch[result["index"]]
            self._seen(result)
            match result["status"], result.get("code"):
                case "accepted", _:
                    shipped.accepted += 1
                case ("duplicate", _) | (_, "DUPLICATE_IN_BATCH"):
                    shipped.duplicate += 1
                case "unavailable", _:
                    again.append(event)
                case _, code:
                    self._refuse(str(code), result, event)
        return again

    def _refuse(self, code: str, result: dict[str, Any], event: bytes) -> None:
        known = self.shipped.refused.get(code)
        if known is not None:
            known.count += 1
            return
        text = event.decode("utf-8", "replace")
        example = text if len(text) <= 500 else text[:500] + "…"
        self.shipped.refused[code] = Refusals(1, result.get("detail", ""), result.get("pointer", ""), example)
