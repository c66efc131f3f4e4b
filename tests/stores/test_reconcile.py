"""`penstock reconcile` at the real stores: what was deleted by hand is counted, and its commands bring it back."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch import names
from penstock.events import Event
from penstock.services.writer import cassandra_roles
from penstock.services.writer.periods import period
from tests.support.broker_rig import Rig
from tests.support.command import penstock
from tests.support.deliveries import line, sample
from tests.support.processes import Processes
from tests.support.rebuilds import everywhere, forget

EACH = 250  # events of a dataset
LONG = 90.0  # seconds; the machine may be busy
NOW = datetime.now(UTC)
TODAY, YESTERDAY = (f"{NOW - timedelta(days=days):%Y-%m-%dT00:00:00Z}" for days in (0, 1))
Rows = dict[tuple[str, str], dict[str, Any]]


async def reconcile(rig: Rig, *arguments: str) -> tuple[int, Rows]:
    code, out, errors = await penstock(rig, "reconcile", *arguments, "--json", bound=LONG)
    assert out, errors
    return code, {(row["dataset"], row["period"]): row for row in json.loads(out)["rows"]}


def delete_rows(cassandra: Processes, events: list[Event]) -> None:
    with cassandra_roles.admin(cassandra.place) as admin:
        for event in events:
            admin.execute(
                f"DELETE FROM {cassandra.place.cassandra_keyspace}.events WHERE period = %s AND pp = %s AND key = %s",
                (period("month", event.time_ms), event.pp, UUID(event.key)),
            )


async def carry_out(rig: Rig, step: str) -> None:
    _, *words = shlex.split(step, comments=True)
    code, out, errors = await penstock(rig, *words, "--json", bound=LONG)
    assert code == 0, errors
    code, _, errors = await penstock(rig, "replay", "apply", json.loads(out)["hash"], "--watch", bound=LONG)
    assert code == 0, errors


async def test_what_was_deleted_by_hand_is_counted_and_brought_back(
    workers: Rig, client: AsyncElasticsearch, cassandra: Processes
) -> None:
    lines = [line(f"line {number}", host=f"host_{number % 9}", time=TODAY) for number in range(EACH)]
    samples = [sample("cpu", number, host=f"host_{number % 9}", time=YESTERDAY) for number in range(EACH)]
    # The first line is accepted twice, which makes one document and one row.
    logs = (await everywhere(workers, [*lines, lines[0]]))[:EACH]
    metrics = await everywhere(workers, samples)

    code, rows = await reconcile(workers)
    places = ("logs", TODAY[:10]), ("metrics", YESTERDAY[:10])
    assert set(rows) == set(places)
    held = {"held": EACH, "dead_letters": 0, "older": 0, "missing": 0, "extra": 0, "in_flight": False}
    for place in places:
        assert (rows[place]["accepted"], rows[place]["indexed"], rows[place]["stored"]) == (EACH, held, held)
        assert rows[place]["next"] == []
    assert [rows[place]["repeated"] for place in places] == [1, 0]
    assert code == 0

    logs_alias = names.events_alias("logs", logs[0].time_ms)
    await forget(client, logs_alias, logs[:3])
    delete_rows(cassandra, metrics[:2])
    code, rows = await reconcile(workers, "--per", "hour")
    assert code == 1
    logs_row, metrics_row = (rows[place, f"{day}T00"] for place, day in places)
    assert logs_row["indexed"] == held | {"held": EACH - 3, "missing": 3}
    assert logs_row["stored"] == metrics_row["indexed"] == held
    assert metrics_row["stored"] == held | {"held": EACH - 2, "missing": 2}

    for row in (logs_row, metrics_row):
        for step in row["next"]:
            await carry_out(workers, step)
    code, rows = await reconcile(workers)
    assert code == 0
    assert all(rows[place][store] == held for place in places for store in ("indexed", "stored"))
