"""A rebuild whose records all have an outcome: verified ─▶ the run is `swapping` ─▶ swapped, in one step

That state is the decision, by compare-and-set: a cancel comes before it and nothing is swapped, or after it and is
refused. Whoever leads from then on swaps.
"""

from __future__ import annotations

from penstock.errors import Refused
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.services.operator.replay.indices import RebuiltIndices
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.verification import Verification

ACTOR = "operator"


class Swapping:
    """Checks what was filled and makes it the live one."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._indices = RebuiltIndices(runs)
        self._verification = Verification(runs.broker, self._indices)

    async def complete(self, run: Run, ledger: Ledger) -> str | None:
        """Swaps; why that is not done, or nothing. None while rows are counted: ask again."""
        found, revision = await self._indices.of_run(run.id)
        if found.state != "filling":  # swapped by a leader that was killed before it could note it
            return ""
        if run.state != "swapping":
            verdict = await self._verification.check(run, found, ledger)
            if verdict is None:
                return None
            if not verdict.holds:
                return f"{verdict.why}; what is live stays"
            await self._runs.move(run.id, "swapping", ACTOR, verdict.why)
        try:
            await self._indices.swap(found, revision)
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
            return f"it was verified, but is gone: {error.detail}"
        return ""

    def forget(self, run: str) -> None:
        """Ends the count of its rows."""
        self._verification.forget(run)
