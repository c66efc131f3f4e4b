"""svc.operator.mappings: what svc.index.mappings says of each live index, and the rebuild of it that is open."""

from __future__ import annotations

from typing import Any

from penstock.replay import rebuild
from penstock.rpc.caller import RequestCaller
from penstock.rpc.client import ask
from penstock.rpc.messages import IndexMapping, IndexMappings, ListMappings
from penstock.services.operator.access import require
from penstock.services.operator.replay.indices import TIMEOUT
from penstock.services.operator.replay.runs import Runs

Json = dict[str, Any]


class MappingOperations:
    """For `penstock migrate`, which rebuilds what differs by runs like any other."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def mappings(self, request: Json, caller: RequestCaller) -> Json:
        """ListMappings → IndexMappings."""
        require(caller, "operator", "mappings")
        wanted = ListMappings.read(request)
        answer = await ask(self._runs.broker, "index", "mappings", wanted.to_json(), timeout=TIMEOUT)
        found, rebuilds = IndexMappings.model_validate(answer), await rebuild.all_of(self._runs.keys)
        indices = [await self._with_run(each, rebuilds.get(each.alias)) for each in found.indices]
        return found.model_copy(update={"indices": indices}).to_json()

    async def _with_run(self, found: IndexMapping, opened: rebuild.Rebuild | None) -> IndexMapping:
        if opened is None:
            return found
        run, _ = await self._runs.get(opened.run)
        return found.model_copy(update={"run": run.id, "rebuild": opened.state, "run_state": run.state})
