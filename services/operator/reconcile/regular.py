"""The comparison of the last hours, made every hour by the operator that leads → metric and note of what differs"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from penstock.errors import PenstockError
from penstock.rpc.messages import Reconcile, Reconciliation
from penstock.services.operator.reconcile import metrics
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.operator.reconcile")

EVERY = 3600.0  # seconds
FIRST_AFTER = 300.0  # seconds: whoever has just begun to lead has other things to do
# Before now, by the events' own time: one that arrives up to an hour after it is compared at least once, one that
# arrives more than two hours after it never.
COMPARED = timedelta(hours=2)
STORES = ("index", "store")
NOT_COMPARED = "the last two hours were not compared with what was accepted"

Compare = Callable[[Reconcile], Awaitable[Reconciliation]]


class Regular:
    """`note` says what differed when it was compared last, and whether that has failed since."""

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._differing = ""
        self._failed = ""
        self._shown: set[tuple[str, str]] = set()

    def note(self) -> str:
        """Empty where nothing differed, and while another operator leads."""
        return "; ".join(filter(None, (self._failed, self._differing)))

    async def run(self, lost: asyncio.Event) -> None:
        """Until another operator may lead, or it is cancelled."""
        try:
            wait = FIRST_AFTER
            while not await set_within(lost, wait):
                await self.compare(datetime.now(UTC))
                wait = EVERY
        finally:
            self._failed = ""
            self._show(Counter())

    async def compare(self, now: datetime) -> None:
        """Once. What fails is noted until a comparison succeeds; what differed before stays noted, too."""
        try:
            await self._compare_until(now.replace(microsecond=0))  # as the note's command says it
        except PenstockError as error:
            _log.warning("reconcile_failed", code=error.code, reason=error.detail)
            self._failed = f"{NOT_COMPARED}: {error.code}: {error.detail}"
        except Exception as error:  # noqa: BLE001 - a defect, or an answer of another version: the next one is made
            _log.exception("reconcile_failed")
            self._failed = f"{NOT_COMPARED}: {type(error).__name__}; the operator's log says more"
        else:
            self._failed = ""

    async def _compare_until(self, now: datetime) -> None:
        begin = now - COMPARED
        found = await self._compare(Reconcile(begin=begin.isoformat(), end=now.isoformat(), per="hour"))
        differing: Counter[tuple[str, str]] = Counter()
        for row in found.rows:
            for store, each in zip(STORES, (row.indexed, row.stored), strict=True):
                differing[row.dataset, store] += 0 if each.in_flight else each.missing + each.extra
        self._show(differing, f"--from {begin:%Y-%m-%dT%H:%M:%SZ}")

    def _show(self, differing: Counter[tuple[str, str]], begin: str = "") -> None:
        for dataset, store in self._shown | differing.keys():
            metrics.DIFFERENCE.labels(dataset, store).set(differing[dataset, store])
        self._shown = set(differing)
        said = [f"{number:,} of {dataset} in the {store}" for (dataset, store), number in differing.items() if number]
        self._differing = (
            f"events differ from what was accepted: {', '.join(said)}: `penstock reconcile {begin}`" if said else ""
        )
        if said:
            _log.error("reconcile_differs", found=said)
