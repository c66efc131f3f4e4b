"""Events and scores into the real Cassandra: once, whatever happens meanwhile, and nothing is dropped for load."""

from __future__ import annotations

import asyncio
import gc
import random
from dataclasses import replace
from uuid import UUID

import pytest

from penstock.consume import Done, Drop, Retry
from penstock.errors import PenstockError
from penstock.events import Event, record
from penstock.services.writer import cassandra_roles, verdicts
from penstock.services.writer.__main__ import build, reach
from penstock.services.writer.logic import Writer, partitions
from penstock.services.writer.periods import period
from penstock.services.writer.queries import statements
from penstock.services.writer.queries.statements import Reads
from penstock.services.writer.rows import COLUMNS, Rows, bound, event_rows, uuid_bytes
from penstock.services.writer.settings import WriterSettings
from penstock.services.writer.store import REQUEST_SECONDS, Store
from tests.support.broker_rig import Rig
from tests.support.deliveries import event_of, line, sample, score_of
from tests.support.faulty_link import Line
from tests.support.processes import Processes
from tests.support.stored_events import store_events
from tests.support.until import until
from tests.support.workers import RunningWorker


async def stored(store: Store, event: Event) -> list[bytes]:
    where = (period("month", event.time_ms), event.pp, [UUID(event.key)])
    return [row.record for row in await store.read(statements.GET, where)]


async def test_an_event_is_stored_under_its_key_with_its_record(store: Store, writer: Writer) -> None:
    event = event_of(line("hello"))
    assert await writer.events([event]) == [Done()]
    assert await stored(store, event) == [record(event)]


async def test_a_waiting_publisher_gets_the_key_in_the_receipt(writer: Writer) -> None:
    event = event_of(line("hello"), headers={"x-reply-to": "_INBOX.ingress.1"})
    assert await writer.events([event]) == [Done({"stage": "stored", "key": event.key})]


async def test_the_same_message_again_changes_nothing(store: Store, writer: Writer) -> None:
    event = event_of(line("once"), sequence=9)
    for _ in range(2):
        assert await writer.events([event, event]) == [Done(), Done()]
    assert await stored(store, event) == [record(event)]


async def test_an_older_message_that_comes_later_does_not_win(store: Store, writer: Writer) -> None:
    older = event_of(line("old", id="same"), sequence=3)
    newer = replace(event_of(line("new", id="same"), sequence=4), stored_at_ns=older.stored_at_ns + 1_000_000)
    assert older.key == newer.key
    assert await writer.events([newer]) == [Done()]
    assert await writer.events([older]) == [Done()]
    assert await stored(store, newer) == [record(newer)]


async def test_a_batch_over_many_partitions_and_periods_is_stored_whole(store: Store, writer: Writer) -> None:
    batch = [
        event_of(line(f"line {n}", host=f"host_{n % 90}", time=f"20{10 + n % 16}-0{1 + n % 9}-02T00:00:00Z"))
        for n in range(1000)
    ]
    assert await writer.events(batch) == [Done()] * 1000
    for event in batch[::50]:
        assert await stored(store, event) == [record(event)]
    noted = {row.period for row in await store.read(statements.PERIODS, ("month",))}
    assert noted >= {period("month", event.time_ms) for event in batch}


async def test_the_largest_events_are_stored(store: Store, writer: Writer) -> None:
    batch = [event_of(line("x" * 65_000, exception={"type": "E", "stack": "y" * 60_000})) for _ in range(5)]
    assert await writer.events(batch) == [Done()] * 5
    assert await stored(store, batch[4]) == [record(batch[4])]


async def test_inserts_that_the_node_has_forgotten_are_prepared_again(
    cassandra: Processes, store: Store, writer: Writer
) -> None:
    gc.collect()  # the driver forgets what nobody holds
    event = event_of(line("prepared again", time="2026-04-01T00:00:00Z"))
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.set_keyspace(cassandra.place.cassandra_keyspace)
        for table in COLUMNS:  # the node forgets the statements on a table whose columns change
            admin.execute(f"ALTER TABLE {table} ADD unused int")
            admin.execute(f"ALTER TABLE {table} DROP unused")
    assert await writer.events([event]) == [Done()]
    assert await writer.scores([score_of(event)]) == [Done()]
    assert await stored(store, event) == [record(event)]
    [row] = await store.read(statements.COUNT_SCORES, ("2026-04", list(range(64)), "logs"))
    assert row.count == 1


async def test_scores_of_two_versions_stand_side_by_side(store: Store, writer: Writer) -> None:
    event = event_of(sample("cpu", 1.0, time="2026-10-01T00:00:00Z"))
    assert await writer.scores([score_of(event, version=1), score_of(event, version=2)]) == [Done(), Done()]
    assert await writer.scores([score_of(event, version=2)]) == [Done()]
    [row] = await store.read(statements.COUNT_SCORES, ("2026-10", list(range(64)), "metrics"))
    assert row.count == 2


async def test_what_the_store_refuses_is_dropped_with_its_reason_and_the_rest_is_kept(
    store: Store, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [event_of(line(text)) for text in ("a", "b", "c")]

    def spoilt(event: Event, length: object) -> Rows:
        rows = event_rows(event, "month")
        if event is batch[1]:  # no event can do that; a defect of ours could
            [(events, values), timeline] = rows.statements
            key = bound(uuid_bytes(event.key))
            rows.statements = ((events, values.replace(key, bound(b"short"))), timeline)
        return rows

    monkeypatch.setattr("penstock.services.writer.logic.event_rows", spoilt)
    before, dropped, after = await writer.events(batch)
    assert (before, after) == (Done(), Done())
    assert isinstance(dropped, Drop)
    assert dropped.code == "SINK_REFUSED"
    assert "InvalidRequest" in dropped.reason
    assert await stored(store, batch[2]) == [record(batch[2])]


async def test_a_stopped_node_delays_events_and_loses_none(store: Store, writer: Writer, cassandra: Processes) -> None:
    await writer.events([event_of(line("first"))])
    store.request_timeout = 1.0
    batch = [event_of(line(f"line {n}", host=f"host_{n % 30}")) for n in range(500)]
    async with cassandra.frozen("cassandra"):
        waiting = asyncio.create_task(writer.events(batch))
        await until(lambda: writer.failure)
        assert not waiting.done()
    assert await waiting == [Done()] * 500
    store.request_timeout = REQUEST_SECONDS
    for event in batch[::100]:
        assert await stored(store, event) == [record(event)]


async def test_a_killed_node_delays_events_and_loses_none(store: Store, writer: Writer, cassandra: Processes) -> None:
    batch = [event_of(line(f"line {n}", host=f"host_{n % 30}")) for n in range(500)]
    assert await writer.events(batch[:250]) == [Done()] * 250
    cassandra.kill("cassandra")
    waiting = asyncio.create_task(writer.events(batch))
    await until(lambda: writer.failure)
    await asyncio.to_thread(cassandra.restart, "cassandra")
    assert await waiting == [Done()] * 500
    for event in batch[::50]:
        assert await stored(store, event) == [record(event)]


async def test_stopping_while_the_store_is_away_returns_the_events_unacknowledged(
    store: Store, writer: Writer, cassandra: Processes
) -> None:
    await writer.events([event_of(line("first"))])
    store.request_timeout = 0.5
    async with cassandra.frozen("cassandra"):
        waiting = asyncio.create_task(writer.events([event_of(line("second"))]))
        await until(lambda: writer.failure)
        writer.stop()
        [outcome] = await asyncio.wait_for(waiting, 10)
    store.request_timeout = REQUEST_SECONDS
    assert isinstance(outcome, Retry)


async def test_a_store_that_is_not_open_yet_makes_events_wait(cassandra: Processes) -> None:
    writer = Writer(Store(cassandra.place), "month", patience=0.0)
    [outcome] = await writer.events([event_of(line("early"))])
    assert isinstance(outcome, Retry)


class OneConnection(Line):
    """Lets the first connection through and no other until `heal`, as a node that freezes while one connects to it."""

    whole = False

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.refusing = not self.whole
        await super().forward(reader, writer)

    def heal(self) -> None:
        self.whole = True
        super().heal()


async def test_a_node_that_goes_away_while_one_connects_is_tried_again(cassandra: Processes) -> None:
    way = OneConnection("writer→cassandra", cassandra.place.local_port("cassandra"), random.Random(0))
    await way.open()
    store = Store(cassandra.place.model_copy(update={"cassandra_port": way.port}))
    asked, stop = Reads(store), asyncio.Event()
    reaching = asyncio.create_task(reach(store, asked, stop))
    try:
        await until(lambda: "no connection to 127.0.0.1" in (asked.unready_reason or "") or reaching.done())
        assert not reaching.done()
        way.heal()
        await until(lambda: store.is_open and not asked.unready_reason)
    finally:
        stop.set()
        await asyncio.gather(reaching, return_exceptions=True)
        await store.close()
        await way.close()


async def test_a_writer_that_may_not_write_is_not_ready_until_it_may(
    rig: Rig, store: Store, cassandra: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_OPERATOR_SECONDS", 0.5)
    place = cassandra.place
    stores = {"cassandra_port": place.cassandra, "cassandra_password_file": place.cassandra_password}
    settings = rig.place.model_copy(update=stores)

    def change(right: str) -> None:
        with cassandra_roles.admin(place) as admin:
            admin.execute(right.format(place.cassandra_keyspace))

    events: list[Event] = []

    async def unready() -> list[str]:  # the node goes by its cache of rights for 2 s more
        events.extend(await store_events(rig, [line("kept", id=f"kept-{len(events)}")]))
        return worker.unready_reasons()

    async with RunningWorker(rig, "writer", build, settings=settings) as worker:
        await asyncio.to_thread(change, "REVOKE MODIFY ON KEYSPACE {} FROM " + cassandra_roles.WRITER)
        try:
            await until(unready)
            [reason] = worker.unready_reasons()
            assert "EVENTS_HTTP/writer: the last batches were not taken: Unauthorized" in reason
        finally:
            await asyncio.to_thread(change, "GRANT MODIFY ON KEYSPACE {} TO " + cassandra_roles.WRITER)
        await until(lambda: not worker.unready_reasons())
        await rig.settled("EVENTS_HTTP", "writer")
    assert [len(await stored(store, event)) for event in events] == [1] * len(events)


async def test_a_writer_whose_period_differs_from_the_tables_does_not_start(
    writer: Writer, cassandra: Processes
) -> None:
    await writer.events([event_of(line("first"))])
    settings = WriterSettings.model_validate({**cassandra.place.model_dump(), "cassandra_period": "day"})
    with pytest.raises(PenstockError, match="rows by month"):
        await Store(settings).open(statements.ALL)


def test_a_batch_is_of_one_partition_and_bounded() -> None:
    rows = [event_rows(event_of(line("x" * 900, host=f"host_{n % 3}")), "month") for n in range(600)]
    parts = list(partitions(rows))
    assert sorted(position for part in parts for position in part) == list(range(600))
    for part in parts:
        assert len({(rows[position].period, rows[position].pp) for position in part}) == 1
        assert sum(rows[position].size for position in part) <= 64 * 1024
