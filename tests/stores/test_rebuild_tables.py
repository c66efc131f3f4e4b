"""Tables of the real Cassandra, rebuilt beside the live ones: reads go on, and each step can be undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from cassandra.cluster import Session

from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.events import Event
from penstock.rpc.client import ask
from penstock.rpc.messages import RebuiltIndex, ReplayPlan, ReplayRun
from penstock.services.writer import cassandra_roles
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.processes import Processes
from tests.support.rebuilds import everywhere, rebuild_revision
from tests.support.replay_console import Console
from tests.support.until import until

LONG = 90.0  # seconds; the machine may be busy
HOST = "host_read"


class Reads:
    """Asks for the records and the timeline of one host all the time; `kinds` are how many of each were found."""

    def __init__(self, broker: Broker, keys: list[str]) -> None:
        self.found: list[tuple[int, int]] = []
        self.failures: list[str] = []
        self._broker = broker
        self._keys = keys

    async def go_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                records = await ask(self._broker, "store", "get", {"keys": self._keys}, timeout=10.0)
                query = {"entity": HOST, "limit": 100}
                entries = await ask(self._broker, "store", "timeline", query, timeout=10.0)
                self.found.append((len(records["records"]), len(entries["entries"])))
            except PenstockError as error:
                self.failures.append(str(error))


@asynccontextmanager
async def reading(rig: Rig, events: list[Event]) -> AsyncIterator[Reads]:
    reads, stop = Reads(await rig.broker("dashboard"), [event.key for event in events]), asyncio.Event()
    task = asyncio.create_task(reads.go_on(stop))
    try:
        yield reads
    finally:
        stop.set()
        await task


@pytest.fixture
def session(cassandra: Processes) -> Iterator[Session]:
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.set_keyspace(cassandra.place.cassandra_keyspace)
        yield admin


def rows(session: Session, table: str) -> dict[str, Any]:
    """Everything in a table, by key, with the time at which it was written."""
    value = "record" if table.startswith("events") else "summary"
    found = session.execute(f"SELECT key, {value} AS value, writetime({value}) AS at FROM {table}")
    return {str(row.key): (row.value, row.at) for row in found}


async def planned(console: Console, table: str) -> ReplayPlan:
    return await console.plan("writer", source="store", effect="rebuild", table=table)


async def rebuilt(console: Console, plan: ReplayPlan) -> ReplayRun:
    run = await console.apply(plan)
    status = await console.in_state(run, "done", "failed", bound=LONG)
    assert status.run.state == "done", status.run.changes
    assert (await console.report(run)).holds
    return status.run


async def changed(console: Console, operation: str, run: ReplayRun) -> RebuiltIndex:
    body = {"run": run.id, "reason": "a test", "by": console.user}
    return RebuiltIndex.model_validate(await console.ask(operation, body))


async def test_a_table_is_rebuilt_under_reads_and_live_traffic_rolled_back_and_dropped(
    workers: Rig, console: Console, session: Session
) -> None:
    seen = await everywhere(workers, [line(f"read {number}", host=HOST) for number in range(50)])
    await everywhere(workers, [line(f"other {number}", host=f"host_{number % 40}") for number in range(250)])
    before = rows(session, "timeline")
    assert len(before) == 300
    # Deleted by mistake, and their deletion is newer than they are: writing them again in place would bring none back.
    period, pp = "2026-11", seen[0].pp
    session.execute("DELETE FROM timeline WHERE period = %s AND pp = %s AND entity = %s", (period, pp, HOST))

    async with reading(workers, seen) as reads:
        await until(lambda: reads.found)
        assert reads.found[-1] == (50, 0)
        plan = await planned(console, "timeline")
        # The first of their period, which the plan does not know.
        await everywhere(workers, [line(f"late {n}", time="2026-10-05T11:00:00Z") for n in range(5)])
        run = await rebuilt(console, plan)
        await until(lambda: reads.found[-1] == (50, 50), LONG)
        await everywhere(workers, [line(f"after {number}", host="host_1") for number in range(10)])
        assert rows(session, "timeline_b").items() >= before.items()
        assert len(rows(session, "timeline_b")) == 315
        assert len(rows(session, "timeline")) == 265
        assert (await changed(console, "rollback", run)).live == "timeline"
        dropped = await changed(console, "discard", run)
        assert (dropped.live, dropped.beside) == ("timeline", None)
        assert not rows(session, "timeline_b")
    assert not reads.failures
    assert {records for records, _ in reads.found} == {50}
    assert {entries for _, entries in reads.found} == {0, 50}
    with pytest.raises(PenstockError) as caught:
        await console.plan("writer", source="store", effect="rebuild", table="events", period="2026-11")
    assert caught.value.code == "REPLAY_FILTER_INVALID"


async def test_the_records_have_two_tables_that_are_kept_alike_counted_and_swapped(
    workers: Rig, session: Session
) -> None:
    operator = await workers.broker("operator")
    alias = {"alias": "table-events"}
    revision = await rebuild_revision(operator, "table-events")

    async def tables(operation: str, **members: Any) -> dict[str, Any]:
        decided = {"revision": revision} if operation in ("prepare", "swap", "drop") else {}
        answer: dict[str, Any] = await ask(operator, "tables", operation, alias | decided | members, timeout=LONG)
        return answer

    now = await tables("prepare", index="events_b")
    assert (now["live"], now["beside"]) == ("events", "events_b")
    events = await everywhere(workers, [line(f"both {number}", host=HOST) for number in range(20)])
    assert len(rows(session, "events_b")) == 20
    assert rows(session, "events").items() >= rows(session, "events_b").items()
    counted = await tables("count", period="2026-11", pp=events[0].pp)
    assert (counted["count"], counted["end"]) == (20, True)
    keys = [event.key for event in events]
    checked = await tables("check", keys=keys)
    assert sorted(checked["documents"]) == sorted(keys)

    assert (await tables("swap", index="events_b"))["live"] == "events_b"
    found = await ask(operator, "store", "get", {"keys": keys}, timeout=LONG)
    assert {record["key"]: record for record in found["records"]} == checked["documents"]
    assert (await tables("swap", index="events"))["beside"] == "events_b"
    assert (await tables("drop")).get("beside") is None
    assert not rows(session, "events_b")
    # Whoever drops may be killed between the two steps; asked again, it goes on.
    session.execute("INSERT INTO events_b (period, pp, key, record) VALUES ('2026-11', 1, %s, 0x7b)", (UUID(keys[0]),))
    assert (await tables("drop")).get("beside") is None
    assert not rows(session, "events_b")
    assert len(rows(session, "events")) >= 20
    with pytest.raises(PenstockError) as caught:
        await tables("swap", index="events_b")
    assert caught.value.code == "NOT_FOUND"
    await operator.drain()
