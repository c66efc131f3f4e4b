"""shards that the cluster has and may have → whether one more index of a past period may be made

Elasticsearch refuses every new index once a node holds `cluster.max_shards_per_node`. Who sends events of many past
periods must not take the last ones: the indices that the events of today need are made out of a reserve.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from elasticsearch import AsyncElasticsearch

from penstock.contracts import Contracts, period_of
from penstock.elasticsearch import names
from penstock.errors import PenstockError

RESERVE = 0.1  # of the shards that the cluster may have
_MOST = "cluster.max_shards_per_node"
REACHED = "INDEX_RESERVE_REACHED"
_NEXT = "raise cluster.max_shards_per_node, add a node, or delete the scores of old model versions"


class IndexReserve:
    """Of one cluster. `clock`: Unix seconds."""

    def __init__(
        self, client: AsyncElasticsearch, contracts: Contracts, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._datasets = contracts.datasets
        self._clock = clock

    async def check(self, alias: str) -> None:
        """Raises PenstockError INDEX_RESERVE_REACHED for a past period when only the reserve is left, and what the
        client raises."""
        name, period = names.dataset_and_period(alias)
        dataset = self._datasets.get(name)
        if dataset is None or period >= period_of(dataset.period, int(self._clock() * 1000)):
            return
        await self.check_past()

    async def check_past(self) -> None:
        """As `check`, for an index of past periods."""
        if why := await self.reached():
            raise PenstockError(REACHED, why, retry_after=15)

    async def reached(self) -> str:
        """Why no index of a past period can be made, in a sentence; empty while it can. Raises what the client
        raises."""
        health = (await self._client.cluster.health(filter_path="*_shards,number_of_data_nodes")).body
        found = await self._client.cluster.get_settings(
            include_defaults=True, flat_settings=True, filter_path="*.cluster*max_shards_per_node"
        )
        limits = [  # the first that is there holds
            int(found.body[level][_MOST])
            for level in ("transient", "persistent", "defaults")
            if _MOST in found.body.get(level, {})
        ]
        if not limits:
            return ""
        shards = sum(health[f"{state}_shards"] for state in ("active", "initializing", "unassigned"))
        most = limits[0] * health["number_of_data_nodes"]
        left = most - shards
        if left > math.ceil(most * RESERVE):
            return ""
        return f"{shards} of {most} shards are used, and the last ones are for indices of the present: {_NEXT}"
