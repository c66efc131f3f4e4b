"""Which model versions count: what the scorers have active, else the newest that has scored anything."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from penstock.elasticsearch import names
from penstock.errors import PenstockError, Refused
from penstock.rpc.messages import LoadedModel, LoadedModels, ModelRef
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.scope import Scope

KEPT_SECONDS = 5.0
Ask = Callable[[], Awaitable[LoadedModels]]


class ActiveModels:
    """Remembers the answer for a few seconds, so that a search costs no second request."""

    def __init__(self, elastic: Elastic, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._elastic = elastic
        self._ask = ask
        self._clock = clock
        self._asked_at = float("-inf")
        self._active: list[LoadedModel] = []

    async def of(self, scope: Scope, name: str | None = None) -> list[ModelRef]:
        """The model versions whose scores count for a scope, or those of one model. Raises Unavailable, Refused."""
        types = {event_type.type for event_type in scope.types}
        active = await self._loaded()
        found = [
            ModelRef.model_validate(
                {"name": model.name, "version": model.version, "schema": model.feature_schema, "digest": model.digest}
            )
            for model in active
            if model.active and name in (None, model.name) and (not model.types or types & set(model.types))
        ]
        if not found and not active:
            found = await self._newest(scope, name)
        if not found:
            what = "no model scores" if name is None else f"model {name!r} does not score"
            raise Refused("MODEL_UNAVAILABLE", f"{what} {scope.names}")
        return found

    async def _loaded(self) -> list[LoadedModel]:
        if self._clock() - self._asked_at > KEPT_SECONDS:
            try:
                self._active = (await self._ask()).models
            except PenstockError:  # no scorer runs: what was scored before can still be searched
                self._active = []
            self._asked_at = self._clock()
        return self._active

    async def _newest(self, scope: Scope, name: str | None) -> list[ModelRef]:
        newest: dict[str, int] = {}
        for alias in await self._elastic.aliases("scored-*"):
            model, version, dataset = names.parse_scored_read(alias)
            if dataset in scope.datasets and name in (None, model):
                newest[model] = max(version, newest.get(model, 0))
        return [ModelRef(name=model, version=version) for model, version in sorted(newest.items())]
