"""svc.operator.rollback and discard: what can be done with the two indices of a rebuild."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from penstock.errors import Refused
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import ChangeReplay
from penstock.services.operator.access import actor_of, require
from penstock.services.operator.replay.indices import RebuiltIndices
from penstock.services.operator.replay.runs import Runs

Json = dict[str, Any]


class RebuildOperations:
    """Of runs that rebuilt an index."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._indices = RebuiltIndices(runs)

    @property
    def all(self) -> dict[str, Callable[[Json, RequestCaller], Awaitable[Json]]]:
        """By name, as the contract has them."""
        return {"rollback": self.rollback, "discard": self.discard}

    async def rollback(self, request: Json, caller: RequestCaller) -> Json:
        """ChangeReplay → RebuiltIndex."""
        require(caller, "operator", "rollback")
        wanted = ChangeReplay.read(request)
        run, _ = await self._runs.get(wanted.run)
        found, revision = await self._indices.of_run(wanted.run)
        await self._runs.audit("rollback", run, actor_of(caller, wanted.by), wanted.reason)
        return (await self._indices.rollback(found, revision)).to_json()

    async def discard(self, request: Json, caller: RequestCaller) -> Json:
        """ChangeReplay → RebuiltIndex."""
        require(caller, "operator", "discard")
        wanted = ChangeReplay.read(request)
        run, _ = await self._runs.get(wanted.run)
        if run.state == "swapping":
            raise Refused("REPLAY_SWAPPING", f"run {run.id} has rebuilt and verified {run.alias}; it is swapped now")
        if not run.ended:
            raise Refused("CONFLICT", f"run {run.id} is {run.state}; cancel it first")
        found, revision = await self._indices.of_run(wanted.run, dropped=True)
        await self._runs.audit("discard", run, actor_of(caller, wanted.by), wanted.reason)
        return (await self._indices.drop(found, revision)).to_json()
