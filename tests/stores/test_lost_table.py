"""What is dropped or emptied in Cassandra under a running writer is noticed without traffic, and named until it is
whole."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from cassandra.cluster import Session

from penstock.contracts.nats_subjects import key_stream
from penstock.runtime import Worker
from penstock.services.operator import __main__ as operator_main
from penstock.services.writer import __main__ as writer_main
from penstock.services.writer import cassandra_roles, migrate
from penstock.services.writer.table_check import FIX
from penstock.services.writer.table_ledger import BUCKET
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.command import replay
from tests.support.deliveries import line
from tests.support.processes import Processes
from tests.support.stored_events import store_events, store_scores
from tests.support.until import until
from tests.support.workers import RunningWorker

LONG = 90.0  # seconds; the machine may be busy
EVENTS = 40
Writer = Worker[Any]


@pytest.fixture
def session(cassandra: Processes) -> Iterator[Session]:
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.set_keyspace(cassandra.place.cassandra_keyspace)
        yield admin


@pytest.fixture
async def running(rig: Rig, on_stores: Place) -> AsyncIterator[Writer]:
    """The writer, which checks often, beside an operator."""
    settings = on_stores.model_copy(update={"check_seconds": 0.1})
    async with (
        RunningWorker(rig, "writer", writer_main.build, settings=settings) as writer,
        RunningWorker(rig, "operator", operator_main.build),
    ):
        yield writer


def _names(writer: Writer, reason: str) -> bool:
    return reason in writer.unready_reasons()


async def _all_seen(rig: Rig) -> bool:
    """Whether every table was looked at; what is lost before is not known to have been there."""
    return (await rig.core.jetstream.stream_info(key_stream(BUCKET))).messages >= len(FIX)


async def test_lost_tables_and_columns_are_named_with_their_commands_until_they_are_whole(
    running: Writer, rig: Rig, session: Session
) -> None:
    def count(table: str) -> int:
        return int(session.execute(f"SELECT count(*) AS rows FROM {table}").one().rows)

    async def noted(text: str) -> str:
        return await until(lambda: next((note for note in running.notes() if text in note), ""), what=text)

    async def repair(table: str, *options: str) -> None:
        note = await noted(f"Cassandra's table {table} lost its rows before ")
        assert all(option in note for option in options)
        code, out, errors = await replay(rig, "plan", "writer", *options, "--reason", "rows are gone", "--json")
        assert code == 0, errors
        code, _, errors = await replay(rig, "apply", json.loads(out)["hash"], "--watch", bound=LONG)
        assert code == 0, errors
        await until(lambda: running.notes() == [])

    events = await store_events(rig, [line(f"kept {number}", host=f"host_{number % 9}") for number in range(EVENTS)])
    await store_scores(rig, events)
    for stream in ("EVENTS_HTTP", "SCORES"):
        await rig.settled(stream, "writer")
    await until(partial(_all_seen, rig))
    assert running.notes() == []

    # As `penstock provision` does. That a table or column is there again does not hide that its values are not.
    for statement, said, made in (
        ("ALTER TABLE scores DROP dataset", "table scores has lost its column dataset", "column scores.dataset"),
        ("DROP TABLE scores", "table scores is gone, and with it its rows", "table scores"),
    ):
        session.execute(statement)
        reason = f"Cassandra's {said}: `penstock provision` makes it anew, empty"
        await until(partial(_names, running, reason))
        assert migrate.migrate(session, migrate.read()) == [made]
        await until(lambda: running.unready_reasons() == [])
        await noted("Cassandra's table scores lost its rows before ")
    await repair("scores", "--source", "scores", "--since", "7d")
    assert count("scores") == EVENTS

    session.execute("TRUNCATE timeline")
    await repair("timeline", "--source", "store", "--effect", "rebuild", "--table", "timeline")
    assert count("timeline_b") == EVENTS

    session.execute("DELETE FROM generations WHERE part = 'all' AND name = 'timeline'")
    [reason] = await until(lambda: [each for each in running.unready_reasons() if "is live stands nowhere" in each])
    assert "; it was timeline_b: " in reason
    session.execute(reason.split("`")[1])
    await until(lambda: running.unready_reasons() == [])
    assert running.notes() == []

    session.execute("TRUNCATE events")
    assert "comes from a backup" in await noted("Cassandra's table events lost its rows before ")
