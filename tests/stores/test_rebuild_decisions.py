"""Decisions about a rebuild at the real stores: none takes effect after a later one, and none halfway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from penstock.errors import PenstockError
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayRun
from penstock.services.operator.replay.indices import RebuiltIndices, service_of
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.verification import Verification
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.held import held
from tests.support.rebuilds import everywhere
from tests.support.replay_console import Console

LONG = 90.0  # seconds; the machine may be busy
INDEX: dict[str, Any] = {"target": "indexer", "period": "2026", "match": {"datasets": ["logs"]}}
TABLE: dict[str, Any] = {"target": "writer", "table": "timeline"}
REBUILD = {"source": "store", "effect": "rebuild"}


async def refused(request: Awaitable[Any]) -> str:
    with pytest.raises(PenstockError) as caught:
        await request
    return caught.value.code


async def finished(console: Console, run: ReplayRun) -> None:
    status = await console.in_state(run, "done", "failed", "cancelled", bound=LONG)
    assert status.run.state == "done", status.run.changes


@pytest.mark.parametrize("wanted", [INDEX, TABLE], ids=["index", "table"])
async def test_what_a_suspended_leader_had_decided_is_refused_once_another_has_decided_otherwise(
    workers: Rig, console: Console, wanted: dict[str, Any]
) -> None:
    await everywhere(workers, [line(f"kept {number}", host=f"host_{number % 30}") for number in range(60)])
    operator = await workers.broker("operator")
    former = RebuiltIndices(Runs(operator))

    async def late(operation: str, revision: int, **members: Any) -> str:
        """The code with which the worker refuses what was decided at that revision."""
        body = {"alias": run.alias, "revision": revision, **members}
        return await refused(ask(operator, service_of(run.alias), operation, body, timeout=LONG))

    async def live() -> str:
        found = await ask(operator, service_of(run.alias), "list", {"alias": run.alias}, timeout=LONG)
        return str(found["live"])

    run = await console.apply(await console.plan(**REBUILD, **wanted, rate=0.01))
    await console.in_state(run, "running", bound=LONG)
    before = await live()
    filling, revision = await former.of_run(run.id)
    await console.change("cancel", run)
    await console.ask("discard", {"run": run.id, "reason": "a test", "by": "ann"})
    assert await refused(former.swap(filling, revision)) == "CONFLICT"
    assert await late("prepare", revision, index=filling.index) == "CONFLICT"
    assert await live() == before

    run = await console.apply(await console.plan(**REBUILD, **wanted, rate=0.01))
    await console.in_state(run, "running", bound=LONG)
    filling, revision = await former.of_run(run.id)
    assert filling.index != before
    await console.change("rate", run, rate=100_000.0)
    await finished(console, run)
    swapped, revision_of_swap = await former.of_run(run.id)
    await console.ask("rollback", {"run": run.id, "reason": "a test", "by": "ann"})
    assert await refused(former.swap(filling, revision)) == "CONFLICT"
    assert await late("swap", revision_of_swap, index=swapped.index) == "CONFLICT"
    assert await late("drop", revision_of_swap) == "CONFLICT"
    assert await live() == before
    dropped = await console.ask("discard", {"run": run.id, "reason": "a test", "by": "ann"})
    assert (dropped["live"], dropped.get("beside")) == (before, None)
    await operator.drain()


async def test_a_cancel_at_the_end_of_a_rebuild_comes_before_the_swap_or_is_refused(
    workers: Rig, console: Console
) -> None:
    await everywhere(workers, [line(f"end {number}") for number in range(20)])
    operator = await workers.broker("operator")

    async def live(run: ReplayRun) -> str:
        return str((await ask(operator, "index", "list", {"alias": run.alias}, timeout=LONG))["live"])

    async with held(Verification, "check", after=True) as verified:
        run = await console.apply(await console.plan(**REBUILD, **INDEX))
        before = await live(run)
        async with asyncio.timeout(LONG):
            await verified.begun.wait()
        assert (await console.change("cancel", run)).state == "cancelled"
        verified.released.set()
        status = await console.in_state(run, "cancelled", "done", "failed", bound=LONG)
        body = {"run": run.id, "reason": "a test", "by": "ann"}
        await console.ask("discard", body)
        assert (status.run.state, await live(run)) == ("cancelled", before)

    async with held(RebuiltIndices, "swap", after=False) as swapping:
        run = await console.apply(await console.plan(**REBUILD, **INDEX))
        async with asyncio.timeout(LONG):
            await swapping.begun.wait()
        for operation in ("cancel", "pause", "discard"):
            body = {"run": run.id, "reason": "a test", "by": "ann"}
            assert await refused(console.ask(operation, body)) == "REPLAY_SWAPPING"
        assert (await console.status(run)).run.state == "swapping"
        assert await live(run) == before
        swapping.released.set()
        await finished(console, run)
        assert await live(run) != before
    await console.ask("discard", {"run": run.id, "reason": "a test", "by": "ann"})
    await operator.drain()
