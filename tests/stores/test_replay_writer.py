"""A replay into the real Cassandra writes as of when each message was stored: what is newer stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from penstock.consume import Done
from penstock.events import Event, record
from penstock.provisioning import provision
from penstock.runtime import Worker
from penstock.services.writer import cassandra_roles
from penstock.services.writer.__main__ import build
from penstock.services.writer.logic import Writer
from penstock.services.writer.periods import period
from penstock.services.writer.queries import statements
from penstock.services.writer.store import Store
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.processes import Processes
from tests.support.replays import Replays
from tests.support.stored_events import store_events, store_scores
from tests.support.workers import RunningWorker

HOUR_NS = 3_600_000_000_000


@pytest.fixture
async def replays(rig: Rig) -> AsyncIterator[Replays]:
    replays = await Replays(rig, "writer").open()
    yield replays
    await replays.close()


@pytest.fixture
async def worker(rig: Rig, store: Store, cassandra: Processes) -> AsyncIterator[Worker[Place]]:
    """The whole writer on the rig's streams and the session's node."""
    del store  # has made the tables
    place = cassandra.place
    settings = rig.place.model_copy(
        update={"cassandra_port": place.cassandra, "cassandra_password_file": place.cassandra_password}
    )
    async with RunningWorker(rig, "writer", build, settings=settings) as worker:
        yield worker


def empty(cassandra: Processes, table: str) -> None:
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.execute(f"TRUNCATE {cassandra.place.cassandra_keyspace}.{table}")


async def records(store: Store, events: list[Event]) -> list[bytes]:
    found = []
    for event in events:
        where = (period("month", event.time_ms), event.pp, [UUID(event.key)])
        found += [row.record for row in await store.read(statements.GET, where)]
    return found


async def test_a_run_restores_a_lost_table_and_leaves_newer_rows(
    rig: Rig, replays: Replays, worker: Worker[Place], store: Store, writer: Writer, cassandra: Processes
) -> None:
    events = await store_events(rig, [line(f"line {number}", host=f"host_{number % 7}") for number in range(400)])
    await rig.settled("EVENTS_HTTP", "writer")
    empty(cassandra, "events")
    newer = [replace(event, sequence=1, stored_at_ns=event.stored_at_ns + HOUR_NS) for event in events[:30]]
    assert await writer.events(newer) == [Done()] * 30

    run = await replays.apply(events[0].sequence, events[-1].sequence)
    assert await replays.complete(run) == {"confirmed": [event.sequence for event in events]}
    assert not worker.unready_reasons()
    assert await records(store, newer) == [record(event) for event in newer]
    restored = await records(store, events[30:])
    assert len(restored) == 370
    assert b'"sequence":%d,' % events[-1].sequence in restored[-1]


async def test_the_audit_table_is_filled_again_from_the_trail(
    rig: Rig, worker: Worker[Place], cassandra: Processes
) -> None:
    del worker

    def rows() -> set[int]:
        with cassandra_roles.admin(cassandra.place) as admin:
            found = admin.execute(f"SELECT sequence FROM {cassandra.place.cassandra_keyspace}.audit")
            return {row.sequence for row in found}

    warden = await rig.broker("warden")
    trail = [(await warden.publish("audit.warden.allow", b'{"identity":"till"}')).sequence for _ in range(20)]
    await rig.settled("AUDIT", "writer")
    empty(cassandra, "audit")
    await rig.drop_consumer("AUDIT", "writer")
    await provision.apply(rig.place)
    await rig.settled("AUDIT", "writer")
    assert await asyncio.to_thread(rows) >= set(trail)


async def test_a_run_over_the_scores_restores_them(
    rig: Rig, replays: Replays, worker: Worker[Place], store: Store, cassandra: Processes
) -> None:
    events = await store_events(rig, [line(f"scored {number}") for number in range(100)])
    sequences = await store_scores(rig, events)
    await rig.settled("SCORES", "writer")
    empty(cassandra, "scores")
    run = await replays.apply(sequences[0], sequences[-1], stream="SCORES", source="scores")
    assert await replays.complete(run) == {"confirmed": sequences}
    with cassandra_roles.admin(cassandra.place) as admin:
        [row] = admin.execute(f"SELECT count(*) FROM {cassandra.place.cassandra_keyspace}.scores")
    assert row.count == 100
    assert not worker.unready_reasons()
