"""data → CloudEvent → checked → evt.<pp>.nats.<identity>.<type> → stored, and what the workers say.

What a service imports that publishes events straight on its subject, without the HTTP API. The event is checked here
by the same rules as the workers apply, so whatever `publish` takes will not be dead-lettered.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.consume import Copies, Follower
from penstock.contracts import load, operations, subjects, subscribers
from penstock.errors import PenstockError, Refused
from penstock.events import Checker, Event, Stamps, timestamps
from penstock.publish import REPLY_TO, Outgoing, Receipt, Receipts, Submission, publish_singly
from penstock.replay.subscriber import Replayed, replayed_to
from penstock.rpc import messages
from penstock.rpc.client import ask
from penstock.settings import load_settings

PATIENCE = 10.0  # seconds in which a broken connection may come back
MOST_AT_ONCE = 10_000  # events in one call


@dataclass(frozen=True, slots=True)
class Published:
    """An event on its stream's disk. `stages` are the workers' answers by stage, as far as they were waited for."""

    key: str
    stream: str
    sequence: int
    stages: Mapping[str, Any] = field(default_factory=dict)


class Publisher:
    """One connection of one identity. Use `connect`."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.identity = broker.identity
        self._contracts = load()
        self._checker = Checker(self._contracts)
        self._stamps = Stamps()
        self._waiting: Receipts | None = None

    def event(
        self,
        type: str,
        data: Mapping[str, Any],
        *,
        entity: str | None = None,
        id: str | None = None,
        time_ns: int | None = None,
        source: str | None = None,
    ) -> bytes:
        """A CloudEvent as JSON. `entity` is what it is about: the unit of order, and of timelines.

        It has the present time unless `time_ns` is given, so the same bytes can be published again and are the same
        event. Whoever makes the event again gives `id` and `time_ns`: the same source, id and time are the same event
        everywhere, however often it is sent.
        """
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": os.urandom(16).hex() if id is None else id,
            "source": f"urn:penstock:{self.identity}" if source is None else source,
            "type": type,
            "time": timestamps.text(time.time_ns() if time_ns is None else time_ns),
        }
        if entity is not None:
            event["subject"] = entity
        return orjson.dumps(event | {"data": data})

    async def publish(self, event: bytes | Mapping[str, Any], *, wait: float = 0.0, traceparent: str = "") -> Published:
        """Publishes one CloudEvent and returns when it is on disk; with `wait`, when every worker has answered too, or
        after so many seconds.

        Raises Refused (the event breaks a rule, or the identity may not publish it) or Unavailable (try again: if the
        event was stored after all, nothing comes of it twice). An event without `time` gets the present one; published
        again on the same connection within an hour, it gets the same.
        """
        [result] = await self.publish_many([event], wait=wait, traceparent=traceparent)
        if isinstance(result, PenstockError):
            raise result
        return result

    async def publish_many(
        self, events: Iterable[bytes | Mapping[str, Any]], *, wait: float = 0.0, traceparent: str = ""
    ) -> list[Published | PenstockError]:
        """Publishes up to MOST_AT_ONCE events, many in flight; one result for each, in their order.

        Events of one entity keep their order unless one of them has to be sent again.
        """
        items = list(events)
        if len(items) > MOST_AT_ONCE:
            raise Refused("BATCH_TOO_LONG", f"{len(items)} events in one call; at most {MOST_AT_ONCE} are taken")
        results: list[Published | PenstockError | None] = [None] * len(items)
        checked: list[tuple[int, Event]] = []
        now_ns = time.time_ns()
        for index, item in enumerate(items):
            try:
                checked.append((index, self._check(item, now_ns)))
            except Refused as error:
                results[index] = error
        ticket = await self._ticket() if wait else None
        try:
            stored = await self._store(checked, ticket, traceparent)
            if ticket is not None:
                await ticket.wait({i for (i, _), s in zip(checked, stored, strict=True) if isinstance(s, tuple)}, wait)
        finally:
            if ticket is not None:
                ticket.close()
        for (index, event), result in zip(checked, stored, strict=True):
            if isinstance(result, PenstockError):
                results[index] = result
            else:
                stages = ticket.answers.get(index, {}) if ticket is not None else {}
                results[index] = Published(event.key, result.stream, result.sequence, stages)
        return [result for result in results if result is not None]

    async def ask(self, service: str, operation: str, request: messages.Request) -> dict[str, Any]:
        """Asks a service, e.g. `search.query`, if the identity may. Raises PenstockError, also that of the service."""
        contract = self._contracts.services[service].operations[operation]
        if (service, operation) not in operations(self._contracts, self._contracts.identities[self.identity].requests):
            raise Refused("FORBIDDEN", f"identity {self.identity} may not ask {service}.{operation}")
        timeout = contract.timeout.total_seconds()
        return await ask(self.broker, service, operation, request.to_json(), timeout=timeout)

    @asynccontextmanager
    async def follow(self, *types: str, most: int = 1000) -> AsyncIterator[AsyncIterator[Event]]:
        """Events as they are stored, of these types or all that the identity may follow:
        `async with p.follow("log.line.v1") as events`.

        Up to `most` of them wait for the reader; who falls further behind gets Unavailable OVERLOADED.
        """
        follows = self._contracts.identities[self.identity].follows
        allowed = frozenset(self._contracts.types if "*" in follows else follows)
        wanted = frozenset(types) or allowed
        if not wanted or wanted - allowed:
            named = ", ".join(sorted(wanted - allowed)) or "events"
            raise Refused("FORBIDDEN", f"identity {self.identity} may not follow {named}")
        follower = Follower(Copies(self._contracts, self._checker), wanted, most)
        filters = [subjects.tail_of(each) for each in follows]
        subscriptions = [await self.broker.subscribe(each, follower.take) for each in filters]
        await self.broker.flush()
        try:
            yield follower.events()
        finally:
            for subscription in subscriptions:
                await subscription.stop()

    @asynccontextmanager
    async def replayed(self, *, most: int = 100) -> AsyncIterator[AsyncIterator[Replayed]]:
        """Events that an operator replays to the identity: `async with p.replayed() as events`. Each has to be settled,
        with `confirm`, `skip`, `park` or `again`; up to `most` are in hand at a time."""
        if self.identity not in subscribers(self._contracts):
            raise Refused("FORBIDDEN", f"nothing can be replayed to identity {self.identity}")
        async with replayed_to(self.broker, self._checker, most) as events:
            yield events

    async def close(self) -> None:
        """Sends what is queued and closes the connection."""
        await self.broker.drain()

    def _check(self, item: bytes | Mapping[str, Any], now_ns: int) -> Event:
        try:
            raw = item if isinstance(item, bytes) else orjson.dumps(item)
        except TypeError as error:
            raise Refused("JSON_INVALID", f"the event cannot be written as JSON: {error}") from None
        raw, value = self._checker.parse(raw)
        now_ns = self._stamps.of(self.identity, raw, value, now_ns)
        event = self._checker.accept(raw, value, publisher=self.identity, door="nats", now_ns=now_ns, stamp=True)
        allowed = self._contracts.identities[self.identity].publishes
        if "*" not in allowed and event.type.type not in allowed:
            raise Refused("FORBIDDEN", f"identity {self.identity} may not publish {event.type.type}", pointer="/type")
        return event

    async def _store(self, checked: Sequence[tuple[int, Event]], ticket: Receipt | None, traceparent: str) -> list[Any]:
        headers = {"traceparent": traceparent} if traceparent else {}
        items = []
        size = 0
        for index, event in checked:
            own = headers | {REPLY_TO: ticket.address(index)} if ticket is not None else headers
            items.append(Outgoing(event.subject, event.raw, own or None))
            size += len(event.raw)
        submission = Submission(items, size, time.monotonic() + PATIENCE)
        if items:
            await publish_singly(self.broker, [(submission, index) for index in range(len(items))])
        return list(submission.results)

    async def _ticket(self) -> Receipt | None:
        if self._waiting is None:
            waiting = Receipts(self.broker)
            await waiting.start()
            self._waiting = waiting
        return self._waiting.open()


@asynccontextmanager
async def connect(
    identity: str, *, url: str | None = None, credentials: Path | None = None
) -> AsyncIterator[Publisher]:
    """A connection as `identity`, with tokens, or where PENSTOCK_AUTH is `nkeys` with its nkey; closed at the end of
    the block.

    `url` is that of the settings (PENSTOCK_NATS_URL) unless given. With `credentials`, a folder that holds the seed
    `<identity>.nk`, it connects with that nkey whatever the settings say. Raises
    Refused CREDENTIALS_INVALID, or Unavailable BROKER_UNAVAILABLE after half a minute.
    """
    settings = load_settings()
    if load().identities.get(identity) is None:
        raise Refused("CREDENTIALS_INVALID", f"{identity!r} has no line in contracts/identities.yaml")
    given: dict[str, object] = {"nats_url": url or settings.nats_url}
    if credentials is not None:
        given |= {"credentials": credentials, "auth": "nkeys"}
    broker = await connect_as(identity, settings.model_copy(update=given))
    publisher = Publisher(broker)
    try:
        yield publisher
    finally:
        async with asyncio.timeout(10):
            await publisher.close()
