"""Requests of svc.operator.* as the command line sends them, and messages to replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.broker import Broker
from penstock.errors import Unavailable
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayPlan, ReplayReport, ReplayRun, ReplayStatus
from tests.support.broker_rig import Rig
from tests.support.until import BOUND, until


class Console:
    """Everything that `penstock replay` can ask for, as one user."""

    def __init__(self, broker: Broker, user: str = "ann") -> None:
        self._broker = broker
        self.user = user

    async def plan(self, target: str = "writer", **members: Any) -> ReplayPlan:
        body = {"target": target, "reason": "a test", "by": self.user, "rate": 100_000.0, **members}
        return ReplayPlan.model_validate(await self.ask("plan", body))

    async def apply(self, plan: ReplayPlan, run: str | None = None) -> ReplayRun:
        body = {"plan": plan.hash, "by": self.user} | ({"run": run} if run else {})
        return ReplayRun.model_validate(await self.ask("apply", body))

    async def status(self, run: ReplayRun) -> ReplayStatus:
        return ReplayStatus.model_validate(await self.ask("status", {"run": run.id}))

    async def change(self, operation: str, run: ReplayRun, **members: Any) -> ReplayRun:
        body = {"run": run.id, "reason": "a test", "by": self.user, **members}
        return ReplayRun.model_validate(await self.ask(operation, body))

    async def report(self, run: ReplayRun) -> ReplayReport:
        return ReplayReport.model_validate(await self.ask("report", {"run": run.id}))

    async def in_state(self, run: ReplayRun, *states: str, bound: float = BOUND) -> ReplayStatus:
        """Waits until a run is in one of the states."""

        async def look() -> ReplayStatus | None:
            try:
                status = await self.status(run)
            except Unavailable:
                return None
            return status if status.run.state in states else None

        return await until(look, bound)

    async def ask(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        return await ask(self._broker, "operator", operation, body, timeout=BOUND)


async def put(rig: Rig, subjects: Sequence[str], payload: bytes = b"{}") -> list[int]:
    """Stores one message on each subject, in CORE; their sequences."""
    stored = []
    for subject in subjects:
        stored.append((await rig.core.publish(subject, payload)).sequence)
    return stored
