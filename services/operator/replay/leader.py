"""What the leading replica does: drives every run that has a target, and answers the workers' reports."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from penstock.contracts import Contracts
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.replay.run import NOTIFICATION, Run
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import ReplayAllowance, ReplayProgress
from penstock.services.operator.replay.drive import Drive
from penstock.services.operator.replay.runs import Runs
from penstock.services.operator.replay.supply import Completion, FromStreams, Supplies, Supply
from penstock.stopping import first_set, set_within

_log = structlog.get_logger("penstock.operator.replay")

Json = dict[str, Any]
TICK_SECONDS = 0.5
DEFECT = "defect"
IDLE_SECONDS = 1.0  # between looks while there is no run


class Leader:
    """The runs under way, for as long as this replica leads."""

    def __init__(
        self, runs: Runs, contracts: Contracts, supplies: Supplies, completions: Mapping[str, Completion] | None = None
    ) -> None:
        """`supplies`: of the sources that are not streams of their own, and of subscribers; `completions`: by effect,
        how a run ends."""
        self._completions = completions or {}
        self._runs = runs
        self._supplies = supplies
        self._contracts = contracts
        self._drives: dict[str, Drive] = {}
        self._faults: dict[str, str] = {}  # by run, what was logged last: a wait is logged once, not at every tick

    async def run(self, lost: asyncio.Event) -> None:
        """Drives until the lease is lost."""
        look = asyncio.Event()
        subscription = await self._runs.broker.subscribe(f"ctl.{NOTIFICATION}", lambda _: look.set())
        try:
            while not lost.is_set():
                look.clear()
                await self._tick(lost)
                if self._drives:
                    await set_within(lost, TICK_SECONDS)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_SECONDS):
                            await first_set(lost, look)
        finally:
            for drive in self._drives.values():
                drive.forget()
            self._drives.clear()
            self._faults.clear()
            await subscription.stop()

    async def progress(self, request: Json, caller: RequestCaller) -> Json:
        """ReplayProgress → ReplayAllowance. Raises Refused FORBIDDEN for a run that is not the caller's."""
        report = ReplayProgress.read(request)
        drive = self._drives.get(report.run)
        if drive is None:
            run, _ = await self._runs.get(report.run)
            if run.target == caller.identity:
                if not run.ended:
                    raise Unavailable("SERVICE_UNAVAILABLE", f"run {run.id} is not driven yet", retry_after=1)
                return ReplayAllowance(state=run.state, rate=0.0).to_json()
        if drive is None or drive.run.target != caller.identity:
            raise Refused("FORBIDDEN", f"run {report.run} is not of {caller.identity}")
        return drive.report(report).to_json()

    async def _tick(self, lost: asyncio.Event) -> None:
        try:
            held = await self._runs.held()
        except PenstockError as error:
            _log.warning("replays_unseen", code=error.code, reason=error.detail)
            return
        wanted = {holder.run: holder for holder in held.values()}
        for id in self._drives.keys() - wanted.keys():
            del self._drives[id]
            self._faults.pop(id, None)
        for id, holder in wanted.items():
            if lost.is_set():
                return
            try:
                run, _ = await self._runs.get(id)
                if (drive := self._drives.get(id)) is None:
                    drive = self._drives[id] = self._drive(run)
                if await drive.tick(run, holder.slot):
                    del self._drives[id]
            except PenstockError as error:
                self._log_fault(id, error)
                if (driven := self._drives.get(id)) is not None:
                    with suppress(PenstockError):
                        await driven.held_up(error.detail)
            except Exception:  # noqa: BLE001
                # A defect, or a document of another version: it must not keep others from being driven, or end this
                # replica and then the one that takes over.
                if self._faults.get(id) != DEFECT:
                    self._faults[id] = DEFECT
                    _log.exception("replay_not_driven", run=id)
            else:
                if self._faults.pop(id, None) is not None:
                    _log.info("replay_driven_again", run=id)

    def _log_fault(self, run: str, error: PenstockError) -> None:
        """Logs what keeps a run from being driven, when that changes."""
        if self._faults.get(run) != error.detail:
            self._faults[run] = error.detail
            _log.warning("replay_not_driven", run=run, code=error.code, reason=error.detail)

    def _drive(self, run: Run) -> Drive:
        return Drive(self._runs, self._contracts, run, self._supply(run), self._completions.get(run.effect))

    def _supply(self, run: Run) -> Supply:
        make = self._supplies.get("subscriber" if run.effect == "deliver" else run.source)
        return make(run) if make is not None else FromStreams(self._runs.broker)
