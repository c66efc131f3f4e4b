"""Timelines at the real Cassandra: events of equal time as they were sent, page by page, also beside rows of before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from penstock.consume import Done
from penstock.events import Event, record
from penstock.rpc.caller import RequestCaller
from penstock.services.writer import cassandra_roles
from penstock.services.writer.logic import Writer
from penstock.services.writer.position import position_of
from penstock.services.writer.queries.operations import Operations
from penstock.services.writer.queries.statements import Reads
from penstock.services.writer.rows import Rows, event_rows
from penstock.services.writer.store import Store
from tests.support.deliveries import CONTRACTS, event_of, line, sample
from tests.support.order import ASCENDING, SECOND, SIZES, all_pages, numbers, steps
from tests.support.processes import Processes

ALL = RequestCaller("trainer", datasets=frozenset({"*"}))
LOGS = RequestCaller("ingress", datasets=frozenset({"logs"}))
NEWEST_FIRST = ASCENDING[::-1]
EVENT = "INSERT INTO events (period, pp, key, dataset, record) VALUES (%s, %s, %s, %s, %s) USING TIMESTAMP %s"
ENTRY = (
    "INSERT INTO timeline (period, pp, entity, key, type, publisher, summary) VALUES (%s, %s, %s, %s, %s, %s, %s) "
    "USING TIMESTAMP %s"
)


@pytest.fixture
async def operations(store: Store) -> Operations:
    reads = Reads(store)
    await reads.look()
    return Operations(CONTRACTS, reads, "month")


async def timeline(operations: Operations, host: str, size: int, caller: RequestCaller = ALL) -> list[str]:
    """The keys of all entries, newest first."""
    return await all_pages(
        lambda request: operations.timeline(request, caller), {"entity": host, "limit": size}, "entries"
    )


def write_as_before(cassandra: Processes, events: list[Event]) -> None:
    """The rows as releases wrote them whose tables had no positions."""
    place = cassandra.place
    with cassandra_roles.admin(place) as admin:
        admin.set_keyspace(place.cassandra_keyspace)
        for event in events:
            rows: Rows = event_rows(event, "month")
            where, at = (rows.period, rows.pp), event.stored_at_ns // 1000
            admin.execute(EVENT, (*where, UUID(event.key), event.type.dataset, b"{}", at))
            entry = (event.entity, UUID(event.key), event.type.type, event.publisher, "before", at)
            admin.execute(ENTRY, (*where, *entry))


@pytest.mark.parametrize("size", SIZES)
async def test_equal_times_are_as_sent_and_nanoseconds_sort_within_a_millisecond(
    operations: Operations, writer: Writer, size: int
) -> None:
    host = f"steps_{size}"
    events = steps(host)
    assert set(await writer.events(events[7:])) == {Done()}  # in whichever order they are written
    assert set(await writer.events(events[:7])) == {Done()}
    assert numbers(await timeline(operations, host, size), events) == NEWEST_FIRST


async def test_an_entry_says_its_time_to_the_nanosecond(operations: Operations, writer: Writer) -> None:
    events = steps("precise")
    assert set(await writer.events(events)) == {Done()}
    page = await operations.timeline({"entity": "precise"}, ALL)
    times: dict[str, Any] = {entry["key"]: entry["time"] for entry in page["entries"]}
    assert times[events[0].key] == f"{SECOND}.000Z"
    assert times[events[12].key] == f"{SECOND}.000011999Z"


@pytest.mark.parametrize("size", SIZES)
async def test_rows_of_before_stay_and_are_sorted_by_their_milliseconds(
    operations: Operations, writer: Writer, cassandra: Processes, size: int
) -> None:
    host = f"mixed_{size}"
    before = [
        event_of(line(f"before {n}", host=host, time=f"2026-11-01T{hour}.0005Z"), sequence=n)
        for n, hour in enumerate(("09:59:59", "10:00:00", "10:00:00", "10:00:00", "10:00:01"), 1)
    ]
    now = steps(host, first=10)
    write_as_before(cassandra, before)
    assert set(await writer.events(now)) == {Done()}
    keys = await timeline(operations, host, size)
    assert sorted(keys) == sorted(event.key for event in (*before, *now))
    assert (keys[0], keys[-1]) == (before[4].key, before[0].key)
    assert numbers([key for key in keys if key in {event.key for event in now}], now) == NEWEST_FIRST


@pytest.mark.parametrize("size", SIZES)
async def test_an_event_of_before_that_is_written_again_is_one_entry(
    operations: Operations, writer: Writer, cassandra: Processes, size: int
) -> None:
    host = f"rewritten_{size}"
    events = steps(host)
    write_as_before(cassandra, events)
    assert sorted(await timeline(operations, host, size)) == sorted(event.key for event in events)
    assert set(await writer.events(events)) == {Done()}  # as a replay does
    assert numbers(await timeline(operations, host, size), events) == NEWEST_FIRST


async def test_an_entry_of_before_holds_while_there_is_none_at_its_position(
    operations: Operations, writer: Writer, cassandra: Processes
) -> None:
    host = "apart"
    events = steps(host)
    write_as_before(cassandra, events)
    assert set(await writer.events(events)) == {Done()}
    place, where = cassandra.place, (event_rows(events[0], "month").period, events[0].pp, host)
    with cassandra_roles.admin(place) as admin:  # as where only the records were rebuilt
        admin.set_keyspace(place.cassandra_keyspace)
        for event in events[:4]:
            at = position_of(orjson.loads(record(event)))
            admin.execute(
                "DELETE FROM timeline WHERE period = %s AND pp = %s AND entity = %s AND key = %s", (*where, at)
            )
    for size in SIZES:
        assert sorted(await timeline(operations, host, size)) == sorted(event.key for event in events)


@pytest.mark.parametrize("size", SIZES)
async def test_an_event_that_was_sent_again_is_one_entry_where_it_was_stored_last(
    operations: Operations, writer: Writer, size: int
) -> None:
    host = f"again_{size}"
    events = steps(host)
    again = replace(events[2], sequence=500, stored_at_ns=events[2].stored_at_ns + 1)  # within the same microsecond
    last = replace(events[5], sequence=501, stored_at_ns=events[5].stored_at_ns + 10**9)
    assert set(await writer.events([last, *events, again])) == {Done()}
    as_sent = [number for number in ASCENDING if number not in (2, 5)]
    at = as_sent.index(13) + 1
    expected = [*as_sent[:at], 2, 5, *as_sent[at:]]
    assert numbers(await timeline(operations, host, size), events) == expected[::-1]


async def test_a_cursor_of_before_goes_on_below_its_event(
    operations: Operations, writer: Writer, cassandra: Processes
) -> None:
    host = "cursor_of_before"
    before = [event_of(line(f"before {n}", host=host, time=f"{SECOND}Z"), sequence=n + 1) for n in range(6)]
    older = event_of(line("older", host=host, time="2026-11-01T09:00:00Z"))
    write_as_before(cassandra, before)
    assert set(await writer.events([older])) == {Done()}
    keys = sorted((event.key for event in before), reverse=True)
    page = await operations.timeline({"entity": host, "cursor": keys[2]}, ALL)
    assert [entry["key"] for entry in page["entries"]] == [*keys[3:], older.key]


async def test_what_is_not_granted_leaves_no_gap_in_the_order(operations: Operations, writer: Writer) -> None:
    host = "granted"
    lines = [event_of(line(f"step {n}", host=host, time=f"{SECOND}Z"), sequence=2 * n + 1) for n in range(9)]
    samples = [event_of(sample("cpu", n, host=host, time=f"{SECOND}Z"), sequence=2 * n + 2) for n in range(9)]
    assert set(await writer.events([*samples, *lines])) == {Done()}
    for size in SIZES:
        assert numbers(await timeline(operations, host, size, LOGS), lines) == [*range(9)][::-1]
