"""Whether what a rebuild filled is what it has to be: by count, and by samples.

Where nothing came meanwhile, there must be as many documents or rows as records were fed. Otherwise they are compared
with the store as it is now.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from penstock.broker import Broker
from penstock.replay.ledger import Ledger
from penstock.replay.rebuild import Rebuild
from penstock.replay.run import Run
from penstock.services.operator.replay import index_count, rebuild_sample, table_count
from penstock.services.operator.replay.indices import RebuiltIndices, is_table

Compared = index_count.Compared | table_count.Compared


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it may be swapped in, and why or why not."""

    holds: bool
    why: str


class Verification:
    """Of the runs that are at their end."""

    def __init__(self, broker: Broker, indices: RebuiltIndices) -> None:
        self._broker = broker
        self._indices = indices
        self._comparisons: dict[str, asyncio.Task[Compared]] = {}  # with the store, by run

    async def check(self, run: Run, found: Rebuild, ledger: Ledger) -> Verdict | None:
        """The verdict. None while the store is counted: ask again. Raises PenstockError."""
        outcomes = ledger.all
        if outcomes.parked or outcomes.filtered:
            return Verdict(False, f"{outcomes.parked + outcomes.filtered} records could not be written")
        verdict = None if is_table(run.alias) else await self._unchanged(run, found, ledger)
        if verdict is None and (compared := self._compared(run)) is not None:
            verdict = _verdict(found, ledger, compared)
        return await self._sampled(run, found, verdict) if verdict is not None and verdict.holds else verdict

    def forget(self, run: str) -> None:
        """Ends what is counted for a run."""
        if (task := self._comparisons.pop(run, None)) is not None:
            task.cancel()

    async def _unchanged(self, run: Run, found: Rebuild, ledger: Ledger) -> Verdict | None:
        """For an index to which nothing was added beside the run; None when there is more to compare."""
        if run.id in self._comparisons:
            return None
        ends = [await index_count.end(self._broker, run, part.stream, part.last) for part in run.ranges]
        checked = await self._indices.check(run.alias, [], ends)
        if checked.behind or checked.count != ledger.total:
            return None
        return Verdict(True, f"{found.index} was verified: it holds the {checked.count} records, and nothing else")

    async def _sampled(self, run: Run, found: Rebuild, verdict: Verdict) -> Verdict:
        """The verdict, or that some contents are not those of the store."""
        records = await rebuild_sample.take(self._broker, run)
        documents = (await self._indices.check(run.alias, list(records))).documents
        wrong = [key for key, record in records.items() if not rebuild_sample.holds(documents.get(key), record)]
        if not wrong:
            return verdict
        return Verdict(
            False, f"{found.index} differs from the store in {len(wrong)} of {len(records)}, like {wrong[0]}"
        )

    def _compared(self, run: Run) -> Compared | None:
        """How it compares with the store, once that is counted; it takes long, and others are driven meanwhile. Raises
        PenstockError when it failed; the next call counts again."""
        task = self._comparisons.get(run.id)
        if task is None:
            task = self._comparisons[run.id] = asyncio.create_task(self._compare(run), name=f"count {run.id}")
        if not task.done():
            return None
        del self._comparisons[run.id]
        return task.result()

    async def _compare(self, run: Run) -> Compared:
        if is_table(run.alias):
            return await table_count.compare(self._broker, run)
        return await index_count.compare(self._broker, self._indices, run)


def _verdict(found: Rebuild, ledger: Ledger, compared: Compared) -> Verdict:
    held = compared.held if isinstance(compared, table_count.Compared) else compared.all
    wrong = [f"{compared.missing} records are missing"] if compared.missing else []
    wrong += [f"{compared.extra} are in it and not in the store"] if compared.extra else []
    if wrong:
        return Verdict(False, f"{found.index} holds {held}: {', and '.join(wrong)}")
    why = f"{found.index} was verified: it holds {held}, {ledger.total} of the run"
    if held != ledger.total:
        why += f" and {held - ledger.total:+} by live traffic since, as the store does"
    return Verdict(True, why)
