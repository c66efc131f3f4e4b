"""One run, as the leading operator drives it: consumers, outcomes, pace, and the moment at which it is done.

    planned ─▶ consumers made ─▶ running ─▶ every planned message has an outcome ─▶ done
                                   └─▶ all delivered and settled, and some have none: failed, with their number

All that it knows it reads again from the server, so that a leader that takes over goes on where the last one was.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from penstock.broker import Broker, StreamInfo
from penstock.contracts import Contracts
from penstock.events import timestamps
from penstock.replay.run import Run
from penstock.rpc.messages import LiveLag, ReplayAllowance, ReplayProgress, ReplayStatus
from penstock.services.operator import metrics
from penstock.services.operator.replay.governor import Governor, Load, shares, slowed
from penstock.services.operator.replay.live import Live
from penstock.services.operator.replay.log import Log
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Completion, Supplied, Supply

_log = structlog.get_logger("penstock.operator.replay")

ACTOR = "operator"
HEARD_SECONDS = 3.0  # for which a replica's report counts
UNRECORDED_SECONDS = 5.0  # for which all must be settled and something have no outcome, before the run has failed
READ_SECONDS = 0.3  # of a tick for the log; who takes over a long run lets it go on before all is read
SMOOTHING = 0.3


class Drive:
    """Drives one run. `tick` is called twice a second; it returns whether there is nothing more to do."""

    def __init__(
        self, runs: Runs, contracts: Contracts, run: Run, supply: Supply, completion: Completion | None = None
    ) -> None:
        self.run = run
        self._runs = runs
        self._broker: Broker = runs.broker
        self._supply = supply
        self._completion = completion
        self._log = Log(self._broker, run)
        self._live = Live(self._broker, contracts, run.target)
        self._governor = Governor()
        self._reports: dict[str, tuple[float, ReplayProgress, float]] = {}  # when, what, events a second
        self._status = ReplayStatus(run=run)
        self._ticked_at = 0.0
        self._rate = 0.0
        self._total = 0
        self._unrecorded_since = 0.0
        self._completing = False

    @property
    def status(self) -> ReplayStatus:
        """How far the run is."""
        return self._status

    def report(self, report: ReplayProgress) -> ReplayAllowance:
        """Takes a replica's report; what it may do until the next."""
        now = time.monotonic()
        before = self._reports.get(report.instance)
        used = report.handled / max(now - before[0], 0.1) if before is not None else 0.0
        self._reports[report.instance] = (now, report, used)
        if self.run.state != "running":
            return ReplayAllowance(state=self.run.state, rate=0.0)
        return ReplayAllowance(state="running", rate=self._shares().get(report.instance, 0.0))

    async def tick(self, run: Run, slot: str) -> bool:
        """Looks at everything, and moves the run where it has to go."""
        if run.state == "running" != self.run.state:
            self._governor.restart()
        self.run = run
        if run.ended:
            return await self._close()
        if run.state == "planned":
            await self._start(run, slot)
            return False
        supplied = await self._supply.look(run, self._log.ledger)
        streams = await asyncio.gather(*(self._broker.jetstream.stream_info(part.stream) for part in run.ranges))
        await asyncio.gather(self._log.read(READ_SECONDS), self._live.look())
        self._pace(supplied)
        await self._write(supplied)
        return await self._ended(supplied, streams)

    async def held_up(self, why: str) -> None:
        """Shows what keeps the run from being driven. Raises PenstockError when that cannot be written either."""
        if not self.run.ended:
            at = timestamps.text(time.time_ns() // 1_000_000 * 1_000_000)
            self._status = self._status.model_copy(update={"run": self.run, "why": why, "at": at})
            await self._runs.put_progress(self._status)

    async def _close(self) -> bool:
        """Leaves nothing of a run that has ended; may be called again."""
        await self._log.read()
        await self._write(None)
        await self._supply.close(self.run, self._log.ledger)
        await self._log.read()  # what the supply counted at the end
        await self._write(None)
        await self._runs.finish(self.run)
        self.forget()
        return True

    def forget(self) -> None:
        """Ends what is under way for the run."""
        if self._completion is not None:
            self._completion.forget(self.run.id)

    async def _start(self, run: Run, slot: str) -> None:
        ranges = await self._supply.start(run, slot)
        started = run.changes[-1] if run.changes else None
        actor, why = (started.by, started.why) if started else (ACTOR, "")
        self.run = await self._runs.move(run.id, "running", actor, why, ranges=ranges)
        self._log = Log(self._broker, self.run)  # the ranges may have grown

    async def _ended(self, supplied: Supplied, streams: list[StreamInfo]) -> bool:
        run, ledger = self.run, self._log.ledger
        if run.state == "swapping":
            return ledger.total >= run.planned and await self._finish(run)
        for part, stream in zip(run.ranges, streams, strict=True):
            if stream.epoch != part.epoch:
                self.run = await self._runs.move(run.id, "failed", ACTOR, f"{part.stream} was created anew")
                return await self._close()
        if run.state == "running" and supplied.counted and ledger.total >= run.planned:
            return await self._finish(run)
        if run.state != "running" or not self._log.ledger.complete or not supplied.settled:
            self._unrecorded_since = 0.0
        elif not self._unrecorded_since:
            self._unrecorded_since = time.monotonic()
        elif time.monotonic() - self._unrecorded_since > UNRECORDED_SECONDS:
            self.run = await self._runs.move(run.id, "failed", ACTOR, self._missing(streams))
            return await self._close()
        return False

    async def _finish(self, run: Run) -> bool:
        ledger = self._log.ledger
        failed = await self._completion.complete(run, ledger) if self._completion is not None else ""
        self._completing = failed is None
        if failed is None:
            return False
        found = ledger.all
        why = failed or f"{found.confirmed} confirmed, {found.skipped} skipped, {found.parked} parked"
        self.run = await self._runs.move(run.id, "failed" if failed else "done", ACTOR, why)
        return await self._close()

    def _missing(self, streams: list[StreamInfo]) -> str:
        left = self.run.planned - self._log.ledger.total
        dropped = [
            f"{part.stream} now begins at {stream.first_seq}"
            for part, stream in zip(self.run.ranges, streams, strict=True)
            if stream.first_seq > part.first and self.run.store is None
        ]
        if dropped:
            return f"{left} planned messages were dropped by the stream: {', '.join(dropped)}"
        return f"{left} planned messages were acknowledged without an outcome"

    def _pace(self, supplied: Supplied) -> None:
        now = time.monotonic()
        seconds = min(now - self._ticked_at, 2.0) if self._ticked_at else 0.0
        self._ticked_at = now
        self._reports = {name: each for name, each in self._reports.items() if now - each[0] < HEARD_SECONDS}
        reports = [report for _, report, _ in self._reports.values()]
        load = Load(
            pending=self._live.pending,
            per_second=self._live.per_second,
            behind=max((report.live_behind for report in reports), default=0.0),
            push_back=sum(report.push_back for report in reports),
        )
        allowed, why = self._governor.tick(self.run.rate, load, self.run.target, seconds)
        if self.run.state == "paused":
            allowed, why = 0.0, f"paused: {self.run.changes[-1].why or 'no reason given'}"
        elif self.run.state == "swapping":
            allowed, why = 0.0, f"verified; {self.run.alias} is being swapped"
        elif self._completing:
            allowed, why = 0.0, "every record has an outcome; what was filled is compared with the store"
        elif supplied.pace is not None:
            why = supplied.why or why
        elif not reports:
            why = f"no replica of {self.run.target} reports; is it running?"
        elif supplied.why:
            why = supplied.why
        elif not why:
            why = slowed(max(report.live_busy for report in reports), self.run.target, self._rate, allowed)
        if supplied.pace is not None:
            supplied.pace.grant(allowed)
        total = self._log.ledger.total
        if seconds and self._total:
            self._rate += SMOOTHING * ((total - self._total) / seconds - self._rate)
        self._total = total if self._log.ledger.complete else 0
        left = self.run.planned - total
        self._status = self._status.model_copy(
            update={
                "allowed": allowed,
                "why": why,
                "live": LiveLag(pending=load.pending, behind_seconds=round(load.behind, 3)),
                "instances": len(reports) or supplied.instances,
                "rate": round(self._rate, 1),
                "seconds_left": round(left / self._rate, 1) if self._rate > 0.5 and allowed else None,
            }
        )

    def _shares(self) -> dict[str, float]:
        now = time.monotonic()
        used = {name: each[2] for name, each in self._reports.items() if now - each[0] < HEARD_SECONDS}
        return shares(self._status.allowed, used)

    async def _write(self, supplied: Supplied | None) -> None:
        ledger = self._log.ledger
        changes: dict[str, object] = {
            "run": self.run,
            "outcomes": ledger.all,
            "at": timestamps.text(time.time_ns() // 1_000_000 * 1_000_000),
        }
        if supplied is not None:
            changes |= {"delivered": self.run.planned - supplied.left, "in_hand": supplied.in_hand}
        if self.run.ended:
            changes |= {"in_hand": 0, "allowed": 0.0, "rate": 0.0, "seconds_left": None, "why": ""}
        self._status = self._status.model_copy(update=changes)
        self._show()
        await self._runs.put_progress(self._status)

    def _show(self) -> None:
        run, target = self.run, self.run.target
        metrics.PLANNED.labels(target).set(0 if run.ended else run.planned)
        metrics.LEFT.labels(target).set(0 if run.ended else max(run.planned - self._log.ledger.total, 0))
        metrics.ALLOWED.labels(target).set(self._status.allowed)
