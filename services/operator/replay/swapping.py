"""A rebuild whose records all have an outcome: counts and samples agree ─▶ swap, in one step"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from penstock.errors import PenstockError, Unavailable
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import TableCount
from penstock.services.operator.replay import rebuild_sample, store_pages
from penstock.services.operator.replay.indices import RebuiltIndices, is_table, service_of
from penstock.services.operator.replay.runs import Runs

ABREAST = 4  # partitions of a table counted at a time
PATIENCE, PAUSE = 60.0, 1.0  # seconds for which a page that fails is asked for again, and between two tries


class Swapping:
    """Checks what was filled and makes it the live one."""

    def __init__(self, runs: Runs) -> None:
        self._broker = runs.broker
        self._indices = RebuiltIndices(runs)
        self._counts: dict[str, asyncio.Task[int]] = {}  # of tables, by run

    async def complete(self, run: Run, ledger: Ledger) -> str | None:
        """Swaps; why that is not done, or nothing. None while rows are counted: ask again."""
        found, revision = await self._indices.of_run(run.id)
        if found.state != "filling":
            return ""
        if await self._indices.is_live(found):  # swapped by a leader that was killed before it could note it
            await self._indices.swap(found, revision)
            return ""
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
        await self._indices.swap(found, revision)
        self._counts.pop(run.id, None)
        return ""

    def _counted(self, run: Run) -> int | None:
        """Rows of the table that was filled, once they are counted; that takes long, and others are driven meanwhile.
        Raises PenstockError when it failed; the next call counts again."""
        task = self._counts.get(run.id)
        if task is None:
            task = self._counts[run.id] = asyncio.create_task(self._count(run), name=f"count {run.id}")
        if not task.done():
            return None
        if task.exception() is not None:
            del self._counts[run.id]
        return task.result()

    async def _count(self, run: Run) -> int:
        todo = iter(store_pages.partitions(run.store) if run.store is not None else ())
        total = 0

        async def work() -> None:
            nonlocal total
            for period, pp in todo:
                place = {"alias": run.alias, "period": period, "pp": pp}
                page = TableCount(count=0)
                while not page.end:
                    body = place | ({"after": page.after} if page.after is not None else {})
                    page = TableCount.model_validate(await self._ask_patiently(service_of(run.alias), body))
                    total += page.count

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(ABREAST):
                    group.create_task(work())
        except* PenstockError as failed:
            raise failed.exceptions[0] from None
        return total

    async def _ask_patiently(self, service: str, body: dict[str, Any]) -> dict[str, Any]:
        """One page. One that fails does not begin the whole count anew, unless it fails for PATIENCE seconds."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await ask(self._broker, service, "count", body, timeout=store_pages.TIMEOUT)
            except Unavailable:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(PAUSE)
