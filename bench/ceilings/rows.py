"""Rows of `events` and `timeline` → UNLOGGED batches of one partition by cassandra-driver's own API, 32 in flight.

python -m bench.ceilings.rows <events> <pid of Cassandra> <keyspace>
"""

from __future__ import annotations

import sys
from collections import defaultdict
from threading import Semaphore
from typing import Any
from uuid import UUID

from cassandra.query import BatchStatement, BatchType

from bench.ceilings.records import stored_events
from bench.ceilings.timed import timed
from penstock.events import Event, record
from penstock.services.writer.periods import period
from penstock.services.writer.position import position
from penstock.services.writer.settings import WriterSettings
from penstock.services.writer.store import open_cluster
from penstock.services.writer.summary import summary

EVENTS_IN_BATCH, IN_FLIGHT = 50, 32
EVENT = "INSERT INTO {}.events (period, pp, key, position, dataset, record) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
ENTRY = (
    "INSERT INTO {}.timeline (period, pp, entity, key, event, type, publisher, summary) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
)

Values = tuple[Any, ...]


def values(event: Event) -> tuple[Values, Values]:
    """The values of the two rows of an event."""
    place = (period("month", event.time_ms), event.pp)
    key, at, type = UUID(event.key), event.stored_at_ns // 1000, event.type
    where = UUID(bytes=position(*divmod(event.time_ns, 1_000_000), event.sequence, event.door, key.bytes)[4:])
    entry = (*place, event.entity, where, key, type.type, event.publisher, summary(type, event.value["data"]), at)
    return (*place, key, where, type.dataset, record(event), at), entry


def run(count: int, server: int, keyspace: str) -> None:
    """Writes the rows of `count` events."""
    groups: defaultdict[tuple[str, int], list[tuple[Values, Values]]] = defaultdict(list)
    for event in stored_events(count):
        pair = values(event)
        groups[pair[0][:2]].append(pair)
    parts = [rows[n : n + EVENTS_IN_BATCH] for rows in groups.values() for n in range(0, len(rows), EVENTS_IN_BATCH)]
    cluster = open_cluster(WriterSettings())
    session = cluster.connect()
    event, entry = session.prepare(EVENT.format(keyspace)), session.prepare(ENTRY.format(keyspace))
    room, failures = Semaphore(IN_FLIGHT), []

    def failed(error: Exception) -> None:
        failures.append(error)
        room.release()

    with timed(server) as done:
        for part in parts:
            batch = BatchStatement(BatchType.UNLOGGED)
            for first, second in part:
                batch.add(event, first)
                batch.add(entry, second)
            room.acquire(timeout=30)
            session.execute_async(batch).add_callbacks(lambda _: room.release(), failed)
            done.events += len(part)
        for _ in range(IN_FLIGHT):
            room.acquire(timeout=30)
    cluster.shutdown()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
