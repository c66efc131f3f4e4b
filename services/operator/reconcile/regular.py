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
COMPARED = timedelta(hours=2)  # before now, so that each event is compared at least once after it has arrived
STORES = ("index", "store")

Compare = Callable[[Reconcile], Awaitable[Reconciliation]]


class Regular:
    """`note` says what differed when it was compared last."""

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._note = ""
        self._shown: set[tuple[str, str]] = set()

    def note(self) -> str:
        """Empty where nothing differed, and while another operator leads."""
        return self._note

    async def run(self, lost: asyncio.Event) -> None:
        """Until another operator may lead."""
        if await set_within(lost, FIRST_AFTER):
            return
        while not lost.is_set():
            try:
                await self.compare(datetime.now(UTC))
            except PenstockError as error:
                _log.warning("reconcile_failed", code=error.code, reason=error.detail)
            await set_within(lost, EVERY)
        self._show(Counter())

    async def compare(self, now: datetime) -> None:
        """Once. Raises PenstockError."""
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
        self._note = (
            f"events differ from what was accepted: {', '.join(said)}: `penstock reconcile {begin}`" if said else ""
        )
        if said:
            _log.error("reconcile_differs", found=said)
