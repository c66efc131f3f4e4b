"""Whether what a rebuild filled is what it has to be: by count, and by samples."""

from __future__ import annotations

import asyncio

from penstock.broker import Broker
from penstock.replay.ledger import Ledger
from penstock.replay.rebuild import Rebuild
from penstock.replay.run import Run
from penstock.services.operator.replay import rebuild_sample, table_count
from penstock.services.operator.replay.indices import RebuiltIndices, is_table


class Verification:
    """Of the runs that are at their end."""

    def __init__(self, broker: Broker, indices: RebuiltIndices) -> None:
        self._broker = broker
        self._indices = indices
        self._counts: dict[str, asyncio.Task[int]] = {}  # of tables, by run

    async def check(self, run: Run, found: Rebuild, ledger: Ledger) -> str | None:
        """Why it is not, or nothing. None while rows are counted: ask again."""
        outcomes = ledger.all
        if outcomes.parked or outcomes.filtered:
            return f"{outcomes.parked + outcomes.filtered} records could not be written; what is live stays"
        count = self._counted(run) if is_table(run.alias) else 0
        if count is None:
            return None
        records = await rebuild_sample.take(self._broker, run)
        checked = await self._indices.check(run.alias, list(records))
        held = count if is_table(run.alias) else checked.count
        if held < ledger.total:
            return f"{found.index} holds {held} of {ledger.total} records; what is live stays"
        wrong = [key for key, record in records.items() if not rebuild_sample.holds(checked.documents.get(key), record)]
        if wrong:
            return f"{found.index} differs from the store in {len(wrong)} of {len(records)}, like {wrong[0]}"
        return ""

    def forget(self, run: str) -> None:
        """Ends what is counted for a run."""
        if (task := self._counts.pop(run, None)) is not None:
            task.cancel()

    def _counted(self, run: Run) -> int | None:
        """Rows of the table that was filled, once they are counted; that takes long, and others are driven meanwhile.
        Raises PenstockError when it failed; the next call counts again."""
        task = self._counts.get(run.id)
        if task is None:
            count = table_count.rows(self._broker, run)
            task = self._counts[run.id] = asyncio.create_task(count, name=f"count {run.id}")
        if not task.done():
            return None
        if task.exception() is not None:
            del self._counts[run.id]
        return task.result()
