"""reports of replicas → the state of each, kept for as long as this operator leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from penstock.rpc.messages import WorkerReplica, WorkerReport

FORGOTTEN = 60.0  # seconds without a report
MOST = 1000  # replicas of one worker, beyond which the oldest is forgotten

Name = tuple[str, str]  # worker, instance


class Replicas:
    """What each replica reported last, and which closings are to end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reports: dict[Name, tuple[float, WorkerReport]] = {}
        self._orders: dict[Name, int] = {}
        self._changed = asyncio.Condition()

    async def report(self, worker: str, report: WorkerReport) -> int:
        """Takes a report; the number of the closing that the replica is to end, or 0."""
        name = (worker, report.instance)
        self._reports.pop(name, None)
        if not report.stopped:
            self._reports[name] = (self._clock(), report)
        of_worker = [each for each in self._reports if each[0] == worker]
        for each in of_worker[:-MOST]:
            del self._reports[each]
        closed = report.brake.number if report.brake else 0
        order = self._orders.get(name, 0)
        if order and order != closed:
            del self._orders[name]
            order = 0
        async with self._changed:
            self._changed.notify_all()
        return order

    def all(self, worker: str | None = None) -> list[WorkerReplica]:
        """The replicas of one worker, or of all, by name."""
        now = self._clock()
        self._reports = {name: each for name, each in self._reports.items() if now - each[0] < FORGOTTEN}
        self._orders = {name: number for name, number in self._orders.items() if name in self._reports}
        return [
            WorkerReplica(
                worker=name[0],
                instance=name[1],
                ready=not report.reasons,
                reasons=report.reasons,
                notes=report.notes,
                pending=report.pending,
                behind=report.behind,
                brake=report.brake,
                age=round(now - at, 3),
            )
            for name, (at, report) in sorted(self._reports.items())
            if worker in (None, name[0])
        ]

    async def resume(self, closed: list[WorkerReplica], seconds: float) -> list[str]:
        """Orders these replicas to open their brakes; those that have not within so many seconds."""
        names = [(each.worker, each.instance) for each in closed]
        for name, each in zip(names, closed, strict=True):
            if each.brake is not None:
                self._orders[name] = each.brake.number

        def waiting() -> list[str]:
            return [name[1] for name in names if name in self._orders]

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: not waiting())
        except TimeoutError:
            pass
        return waiting()
