"""A run that rebuilds an index or a table: one beside the live one, live data in both, the store's records, swap.

    index made ─▶ every indexer writes live lines to both (rebuild.LEASE) ─▶ end of the streams read ─▶ writer is there
    ─▶ records up to that end are fed ─▶ counts and samples agree ─▶ swap (swapping.py)

What is stored behind that end is delivered to an indexer that writes it to both; what lies before it is in the store.
It is the same with writers and the two tables of a name.
"""

from __future__ import annotations

import time

from penstock.broker import StreamInfo
from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.errors import Unavailable
from penstock.replay import rebuild
from penstock.replay.origin import SCORES
from penstock.replay.run import Run
from penstock.rpc.messages import ReplayRange
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.from_store import FromStore
from penstock.services.operator.replay.indices import RebuiltIndices
from penstock.services.operator.replay.runs import Runs

MARGIN = 1.0  # seconds beyond the lease, for lines that were on their way
WRITER = "writer"


class Rebuilding(FromStore):
    """Feeds the run once both are kept current."""

    def __init__(self, runs: Runs, contracts: Contracts, run: Run) -> None:
        super().__init__(runs, run)
        self._broker = runs.broker
        self._contracts = contracts
        self._indices = RebuiltIndices(runs)
        self._opened_at = 0.0
        self._ends: dict[str, StreamInfo] = {}
        # What the writer must have stored, before the store holds all that is not written to both.
        self._awaited = tuple(self.selection.lives) if self.selection.match.model is None else (SCORES,)

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """The ranges up to the end of the streams. Raises Unavailable until all is prepared."""
        del slot
        await self._indices.open(run.alias, run.id, self._members(run.alias))
        self._opened_at = self._opened_at or time.monotonic()
        if time.monotonic() - self._opened_at < rebuild.LEASE + MARGIN:
            raise Unavailable("SERVICE_UNAVAILABLE", "workers may not know of the rebuild yet", retry_after=1)
        if not self._ends:
            # In this order: a score that lies before the end of SCORES is in the store, and one behind it, whose event
            # may lie before the end of its stream, is written to both.
            names = dict.fromkeys((*self._awaited, *self.selection.lives))
            self._ends = {name: await self._broker.jetstream.stream_info(name) for name in names}
        for name in self._awaited:
            info, writer = self._ends[name], await self._broker.jetstream.consumer_info(name, WRITER)
            if writer.settled_to(info.last_seq) < info.last_seq:
                raise Unavailable("SERVICE_UNAVAILABLE", f"the writer is not at {name} {info.last_seq} yet")
        await self._read_new_periods(run)
        planned = {part.stream: part for part in run.ranges}
        return tuple(_range(self._ends[name], planned.get(name)) for name in self.selection.lives)

    def _members(self, alias: str) -> list[str]:
        """The write aliases of the periods that share the index of an alias."""
        within = self.selection.match.within
        return [names.period_alias(names.read_alias(alias), period) for period in within]

    async def _read_new_periods(self, run: Run) -> None:
        """Records that came since the plan may be the first ones of a period."""
        match = self.selection.match
        periods = await store_pages.periods(self._broker, match.begin, match.end)
        if new := [each for each in periods if each not in self.selection.periods]:
            why = f"since the plan there are records of {', '.join(new)}"
            selection = self.selection.model_copy(update={"periods": periods})
            await self._runs.widen(run.id, selection, why)
            self.read(selection)


def _range(info: StreamInfo, planned: ReplayRange | None) -> ReplayRange:
    first = min(planned.first, info.first_seq) if planned is not None else max(info.first_seq, 1)
    number = planned.planned if planned is not None else 0
    return ReplayRange(
        stream=info.name, epoch=info.epoch, first=max(first, 1), last=info.last_seq, filters=(), planned=number
    )
