"""EVENTS_HTTP, EVENTS_NATS, SCORES, AUDIT → writer → Cassandra;  svc.store.* → Cassandra → reply"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from cassandra.cluster import NoHostAvailable

from penstock.broker import Broker
from penstock.consume import Delivery, Limits, Outcome
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.events import Checker
from penstock.runtime import Parts, Source, main
from penstock.scoring.score import read_score
from penstock.services.writer import audit_rows
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries import reads
from penstock.services.writer.queries.operations import Questions
from penstock.services.writer.queries.reads import Reads
from penstock.services.writer.store import Store
from penstock.services.writer.verdicts import unreachable
from penstock.settings import Settings

_log = structlog.get_logger(__name__)
# A batch falls into as many partitions as it has entities' pp: the larger it is, the more rows go together.
_BATCH, _IN_FLIGHT = 3000, 2
_LINGER, _LINGER_MOST = 0.1, 0.3
# Each byte held is held several times over on its way; with large events these bounds count, not the numbers above.
_LIMITS = Limits(messages=12_000, bytes=8 * 1024 * 1024, batch_bytes=2 * 1024 * 1024)
_OPEN_EVERY = 2.0  # seconds between tries to reach Cassandra

T = TypeVar("T")


async def build(_: Broker, settings: Settings) -> Parts:
    """The writer's parts; Cassandra may be away, then messages wait."""
    contracts = load()
    checker = Checker(contracts)
    length = settings.cassandra_period
    store = Store(settings)
    asked = Reads(store)
    writer = Writer(store, length)
    questions = Questions(contracts, asked, length)
    streams = [name for name, stream in contracts.streams.items() if stream.door is not None]
    return Parts(
        sources=(
            *(_source(stream, checker.delivered, writer.events) for stream in streams),
            _source("AUDIT", audit_rows.read, writer.audit),
            _source("SCORES", lambda delivery: read_score(delivery, contracts), writer.scores),
        ),
        service="store",
        operations={
            "get": questions.get,
            "timeline": questions.timeline,
            "count": questions.count,
            "audit": questions.audit,
        },
        unready_reason=lambda: f"Cassandra: {asked.unready_reason}" if asked.unready_reason else "",
        chores=(
            lambda stop: reach(store, asked, stop),
            lambda stop: _let_go(writer, stop),
        ),
        close=store.close,
    )


def _source(
    stream: str, decode: Callable[[Delivery], T], handle: Callable[[list[T]], Awaitable[list[Outcome]]]
) -> Source[T]:
    return Source(
        stream=stream,
        consumer="writer",
        decode=decode,
        handle=handle,
        batch=_BATCH,
        in_flight=_IN_FLIGHT,
        linger=_LINGER,
        linger_most=_LINGER_MOST,
        limits=_LIMITS,
    )


async def reach(store: Store, asked: Reads, stop: asyncio.Event) -> None:
    """Reaches Cassandra as soon as it is there, then watches it. Raises PenstockError when the period was changed."""
    while not store.is_open:
        try:
            await store.open(reads.ALL)
        except PenstockError:
            raise
        except NoHostAvailable as error:
            asked.unready_reason = unreachable(error)[:300]
        except Exception as error:  # noqa: BLE001 - tables not migrated, rights not granted: an operator acts, we wait
            asked.unready_reason = f"{type(error).__name__}: {error}"[:300]
        if not store.is_open:
            _log.warning("cassandra_not_reached", reason=asked.unready_reason)
            if await _stopped(stop, _OPEN_EVERY):
                return
    await asked.watch(stop)


async def _let_go(writer: Writer, stop: asyncio.Event) -> None:
    await stop.wait()
    writer.stop()


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Waits; true as soon as the worker stops."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


if __name__ == "__main__":
    main("writer", build)
