"""A rebuild with live traffic beside it is compared with the store: one more or one less is found, and named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from elasticsearch import AsyncElasticsearch

from penstock.services.operator.replay.verification import Verdict, Verification
from penstock.services.writer import cassandra_roles
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.held import Held, held
from tests.support.processes import Processes
from tests.support.rebuilds import everywhere
from tests.support.replay_console import Console
from tests.support.until import until

LONG = 90.0  # seconds; the machine may be busy
BESIDE = "events-logs-2026-beside"
INDEX: dict[str, Any] = {"target": "indexer", "period": "2026", "match": {"datasets": ["logs"]}}
TABLE: dict[str, Any] = {"target": "writer", "table": "events"}

check = Verification.check  # as it is, while the operator's own call is held


async def verdict_of(hold: Held) -> Verdict:
    """What a verification says now, with the arguments of the one that is held."""
    return await until(lambda: check(*hold.arguments), LONG)


async def verified(
    workers: Rig, console: Console, wanted: dict[str, Any], tamper: Callable[[Held], Awaitable[None]], why: str
) -> None:
    """Rebuilds what is wanted, and tampers with it when it is filled and 7 live events were added. It ends well."""
    await everywhere(workers, [line(f"kept {number}", host=f"host_{number % 30}") for number in range(50)])
    async with held(Verification, "check", after=False) as hold:
        run = await console.apply(await console.plan(**wanted, source="store", effect="rebuild"))
        async with asyncio.timeout(LONG):
            await hold.begun.wait()
        await everywhere(workers, [line(f"live {number}") for number in range(7)])
        await tamper(hold)
    status = await console.in_state(run, "done", "failed", bound=LONG)
    assert status.run.state == "done", status.run.changes
    (swapping,) = [change.why for change in status.run.changes if change.state == "swapping"]
    assert swapping.endswith(why), swapping
    await console.ask("discard", {"run": run.id, "reason": "a test", "by": "ann"})


async def test_an_index(workers: Rig, console: Console, client: AsyncElasticsearch) -> None:
    async def tamper(hold: Held) -> None:
        total = hold.arguments[3].total + 7
        await client.indices.refresh(index=BESIDE)
        some = (await client.search(index=BESIDE, size=1)).body["hits"]["hits"][0]
        await client.index(index=BESIDE, id=(copy := str(uuid4())), document=some["_source"], refresh=True)
        verdict = await verdict_of(hold)
        assert not verdict.holds
        assert f"holds {total + 1}: 1 are in it and not in the store" in verdict.why
        for id in (copy, some["_id"]):
            await client.delete(index=BESIDE, id=id, refresh=True)
        verdict = await verdict_of(hold)
        assert not verdict.holds
        assert f"holds {total - 1}: 1 records are missing" in verdict.why
        await client.index(index=BESIDE, id=some["_id"], document=some["_source"], refresh=True)

    await verified(workers, console, INDEX, tamper, "of the run and +7 by live traffic since, as the store does")


async def test_a_table(workers: Rig, console: Console, cassandra: Processes) -> None:
    with cassandra_roles.admin(cassandra.place) as session:
        session.set_keyspace(cassandra.place.cassandra_keyspace)

        async def tamper(hold: Held) -> None:
            row = session.execute("SELECT period, pp, key, dataset, record FROM events_b LIMIT 1").one()
            other = (row.period, (row.pp + 1) % 64, uuid4())
            session.execute("DELETE FROM events_b WHERE period = %s AND pp = %s AND key = %s", row[:3])
            session.execute("INSERT INTO events_b (period, pp, key) VALUES (%s, %s, %s)", other)
            verdict = await verdict_of(hold)
            assert not verdict.holds
            assert "1 records are missing, and 1 are in it and not in the store" in verdict.why
            session.execute("DELETE FROM events_b WHERE period = %s AND pp = %s AND key = %s", other)
            put = "INSERT INTO events_b (period, pp, key, dataset, record) VALUES (%s, %s, %s, %s, %s)"
            session.execute(put, tuple(row))

        await verified(workers, console, TABLE, tamper, "of the run and +7 by live traffic since, as the store does")
