"""The leading operator is suspended as a process while a rebuild ends, and goes on when another has decided."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.broker import Broker
from penstock.errors import PenstockError
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayRun, ReplayStatus
from penstock.stack import http_probe
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.operators import Operators
from tests.support.rebuilds import REBUILD, everywhere
from tests.support.replay_console import Console
from tests.support.until import until

ENDED = ("done", "cancelled", "failed")
LONG = 60.0  # seconds; the machine may be busy
SHORT = 2.0  # seconds: a request may have gone to the replica that is suspended


async def asked(broker: Broker, service: str, operation: str, body: dict[str, Any]) -> dict[str, Any] | str:
    """The answer of a replica that can give one, or the code of its refusal."""

    async def look() -> dict[str, Any] | str | None:
        try:
            return await ask(broker, service, operation, body, timeout=SHORT)
        except PenstockError as error:
            return None if error.retriable else error.code

    return await until(look, LONG)


def leads(rig: Rig, number: int) -> bool | None:
    """Whether a replica leads; None when it does not say."""
    answer = http_probe.get(rig.place.local_port("operator", number), "/metrics")
    return b"\npenstock_operator_leader 1" in answer[1] if answer is not None else None


class Fleet:
    """Two operators as processes, `operator_1` and `operator_2`."""

    def __init__(self, rig: Rig, console: Console, replayer: Broker, operator: Broker) -> None:
        self._rig, self._console, self._replayer, self._operator = rig, console, replayer, operator

    async def suspend_the_leader(self, stage: str) -> tuple[str, str]:
        """Rebuilds, and suspends the leader once the index is filled, or the run is swapping. What was answered to a
        cancel, and how the run has ended."""
        leader = await until(lambda: next((each for each in (1, 2) if leads(self._rig, each)), None), LONG)
        run = await self._console.apply(await self._console.plan(**REBUILD))
        before = await self._live(run)

        async def reached() -> bool:
            found = await self._status(run)
            return found.run.state != "running" if stage == "swapping" else found.outcomes.total >= found.run.planned

        async def ended() -> str | None:
            found = await self._status(run)
            return found.run.state if found.run.state in ENDED else None

        await until(reached, LONG)
        body = {"run": run.id, "reason": "a test", "by": "ann"}
        async with self._rig.processes.frozen(f"operator_{leader}"):
            answer = await asked(self._replayer, "operator", "cancel", body)
            await until(lambda: leads(self._rig, 3 - leader), LONG)
            state = await until(ended, LONG)
        await until(lambda: leads(self._rig, leader) is False, LONG)
        assert await ended() == state
        swapped = await self._live(run) != before
        assert swapped == (state == "done"), answer
        await asked(self._replayer, "operator", "discard", body)
        assert (await self._live(run) != before) == swapped
        return (answer if isinstance(answer, str) else answer["state"]), state

    async def _live(self, run: ReplayRun) -> str:
        found = await asked(self._operator, "index", "list", {"alias": run.alias})
        assert isinstance(found, dict)
        return str(found["live"])

    async def _status(self, run: ReplayRun) -> ReplayStatus:
        return ReplayStatus.model_validate(await asked(self._replayer, "operator", "status", {"run": run.id}))


@pytest.mark.soak
async def test_a_suspended_leader_changes_nothing_when_it_goes_on(sinks: Rig, console: Console) -> None:
    await everywhere(sinks, [line(f"kept {number}", host=f"host_{number % 30}") for number in range(60)])
    operators = Operators(sinks)
    for number in (1, 2):
        operators.start(number)
    fleet = Fleet(sinks, console, await sinks.broker("replayer"), await sinks.broker("operator"))
    seen = [await fleet.suspend_the_leader(stage) for stage in ("filled", "swapping") * 2]
    for number in (1, 2):
        operators.end(number)
    assert set(seen) <= {("cancelled", "cancelled"), ("REPLAY_SWAPPING", "done"), ("CONFLICT", "done")}, seen
