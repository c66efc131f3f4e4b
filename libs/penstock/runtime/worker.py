"""settings → broker → lanes and services → SIGTERM → what is in hand is finished → exit 0.

delivery ─▶ decode ─▶ handle ─▶ outcome ─┬▶ settled by the lane
                                         └▶ the answer, to a publisher who named a reply address of its own
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import orjson
import structlog

from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.consume import CrashCounter, DeadLetters, Delivery, Done, Drop, Handle, Lane, Limits, Outcome
from penstock.errors import PenstockError, Refused
from penstock.rpc.server import Operation, Responder, serve
from penstock.runtime import gc_tuning, metrics
from penstock.runtime.health import Health
from penstock.settings import Settings, load_settings
from penstock.telemetry import configure_logging

_log = structlog.get_logger("penstock.runtime.worker")

T = TypeVar("T")

STOP_SECONDS = 6.0  # for batches in hand; with the rest of the way out it stays under ten


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Generic[T]):
    """One consumer and what to do with its messages.

    `decode` raises Refused for what can never be handled; it is dead-lettered. `handle` answers with one outcome for
    each.
    """

    stream: str
    consumer: str
    decode: Callable[[Delivery], T]
    handle: Callable[[list[T]], Awaitable[list[Outcome]]]
    batch: int = 500
    in_flight: int = 2
    linger: float = 0.02
    linger_most: float = 0.0
    hold_by: Callable[[T], str] | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker is made of. `unready_reason` says why its sink is not ready (empty: it is); `chores` run until
    the event is set."""

    sources: Sequence[Source[Any]] = ()
    service: str = ""
    operations: Mapping[str, Operation] = field(default_factory=dict)
    concurrency: int = 32
    unready_reason: Callable[[], str] = lambda: ""
    chores: Sequence[Callable[[asyncio.Event], Awaitable[None]]] = ()
    close: Callable[[], Awaitable[None]] | None = None


Build = Callable[[Broker, Settings], Awaitable[Parts]]


def main(name: str, build: Build) -> None:
    """Runs the worker `name` (its identity, its port) until SIGTERM; ends the process."""
    settings = load_settings()
    configure_logging(settings.log_level, name)
    sys.exit(asyncio.run(Worker(name, build, settings).run()))


class Worker:
    """One process. `run` returns its exit code: 0 after SIGTERM, 1 when something it cannot work without is gone."""

    def __init__(self, name: str, build: Build, settings: Settings) -> None:
        self.stop = asyncio.Event()
        self._name = name
        self._build = build
        self._settings = settings
        self._broker: Broker | None = None
        self._parts: Parts | None = None
        self._lanes: list[Lane] = []
        port = settings.port or settings.local_port(name, settings.instance)
        self._health = Health(settings.host, port, self.unready_reasons)

    async def run(self) -> int:
        """Starts, works, stops."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        try:
            await self._health.start()
            broker = await self._connect()
            if broker is None:
                return 0
            self._parts = await self._build(broker, self._settings)
            gc_tuning.settle()
            return await self._work(broker, self._parts)
        except (PenstockError, OSError) as error:
            _log.error("worker_failed", reason=str(error))
            return 1
        finally:
            await self._close()

    def unready_reasons(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        if self._broker is None or not self._broker.connected:
            return ["no connection to the broker"]
        if self._parts is None:
            return ["starting"]
        if self.stop.is_set():
            return ["stopping"]
        return [
            reason
            for reason in (self._parts.unready_reason(), *(lane.unready_reason() for lane in self._lanes))
            if reason
        ]

    async def _connect(self) -> Broker | None:
        """The connection, or None when told to stop before there was one."""
        settings = self._settings
        connecting = asyncio.create_task(connect_as(self._name, settings))
        stopped = asyncio.create_task(self.stop.wait())
        await asyncio.wait([connecting, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not connecting.done():
            connecting.cancel()
            with suppress(asyncio.CancelledError, PenstockError):
                await connecting
            return None
        self._broker = connecting.result()
        return self._broker

    async def _work(self, broker: Broker, parts: Parts) -> int:
        dead_letters = DeadLetters(broker, self._name)
        attempts = CrashCounter(self._settings.state / "attempts" / self._name)
        self._lanes = [make_lane(broker, source, dead_letters, attempts) for source in parts.sources]
        responder: Responder | None = None
        if parts.operations:
            responder = await serve(broker, parts.service, parts.operations, concurrency=parts.concurrency)
        tasks = [asyncio.create_task(lane.run(self.stop, grace=STOP_SECONDS)) for lane in self._lanes]
        tasks += [asyncio.ensure_future(chore(self.stop)) for chore in parts.chores]
        ends = [asyncio.create_task(self.stop.wait()), asyncio.create_task(broker.closed.wait())]
        _log.info("worker_started", lanes=len(self._lanes), service=parts.service)
        try:
            await asyncio.wait([*tasks, *ends], return_when=asyncio.FIRST_COMPLETED)
            failed = next((task for task in tasks if task.done() and not self.stop.is_set()), None)
            if failed is not None:
                _log.critical("worker_part_ended", part=failed.get_name(), exc_info=failed.exception())
            elif broker.closed.is_set():
                _log.critical("broker_closed")
            code = 0 if self.stop.is_set() else 1
        finally:
            self.stop.set()
            for end in ends:
                end.cancel()
            if responder is not None:
                await responder.stop()
            await asyncio.wait(tasks, timeout=STOP_SECONDS + 2.0) if tasks else None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *ends, return_exceptions=True)
        return code

    async def _close(self) -> None:
        if self._parts is not None and self._parts.close is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._parts.close()
        if self._broker is not None:
            await self._broker.drain(1.0)
        await self._health.stop()
        _log.info("worker_stopped")


def make_lane(
    broker: Broker, source: Source[T], dead_letters: DeadLetters, attempts: CrashCounter | None = None
) -> Lane:
    """The lane of a source."""
    hold_by: Callable[[Delivery], str] | None = None
    if (named := source.hold_by) is not None:

        def hold_by(delivery: Delivery) -> str:
            try:
                return named(source.decode(delivery))
            except Refused:
                return ""

    return Lane(
        broker,
        source.stream,
        source.consumer,
        handler(broker, source),
        batch=source.batch,
        in_flight=source.in_flight,
        linger=source.linger,
        linger_most=source.linger_most,
        dead_letters=dead_letters,
        attempts=attempts,
        hold_by=hold_by,
        limits=source.limits,
    )


def handler(broker: Broker, source: Source[T]) -> Handle:
    """What the lane calls: decode, handle what could be decoded, answer who waits for it."""

    async def handle(deliveries: list[Delivery]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        values: list[T] = []
        places: list[int] = []
        for place, delivery in enumerate(deliveries):
            try:
                values.append(source.decode(delivery))
                places.append(place)
                outcomes.append(_UNDECIDED)
            except Refused as error:
                reason = f"{error.detail} (at {error.pointer})" if error.pointer else error.detail
                outcomes.append(Drop(error.code, reason))
            except Exception as error:  # noqa: BLE001 - decoding depends on the message alone: trying again cannot help
                _log.error("decode_failed", stream=delivery.stream, sequence=delivery.sequence, exc_info=error)
                outcomes.append(Drop("INTERNAL", f"decoding failed: {type(error).__name__}"))
        if not values:
            return outcomes
        for place, value, outcome in zip(places, values, await source.handle(values), strict=True):
            if type(outcome) is Done:
                if outcome.answer is not None:
                    _answer(broker, value, outcome.answer)
            elif isinstance(outcome, Drop) and not outcome.key:
                outcome = replace(outcome, key=getattr(value, "key", ""))
            outcomes[place] = outcome
        return outcomes

    return handle


def _answer(broker: Broker, value: Any, answer: dict[str, Any]) -> None:
    """Sends the answer to the address that the publisher named, if it is one of its own (or the ingress's, for
    http)."""
    reply_to = getattr(value, "reply_to", None)
    if not reply_to:
        return
    owner = "ingress" if value.door == "http" else value.publisher
    if not reply_to.startswith(f"_INBOX.{owner}."):
        metrics.REPLIES.labels("refused").inc()
        _log.error("reply_refused", publisher=value.publisher, stream=value.stream, sequence=value.sequence)
        return
    try:
        broker.send(reply_to, orjson.dumps(answer))
        metrics.REPLIES.labels("sent").inc()
    except PenstockError as error:
        metrics.REPLIES.labels("refused").inc()
        _log.warning("reply_lost", reason=error.detail)


_UNDECIDED = Done()
