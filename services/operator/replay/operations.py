"""svc.operator.*: plan, apply, list, status, pause, resume, rate, cancel, report. Any replica answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

from penstock.audit import record
from penstock.broker import Broker, if_there
from penstock.contracts import Contracts
from penstock.contracts.topology import REPLAY_SLOTS
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.replay.plan import SHORT
from penstock.replay.run import Change, Holder, Run
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import (
    ApplyReplay,
    ChangeReplay,
    ListReplays,
    PlanReplay,
    ReplayPlan,
    ReplayRate,
    ReplayRef,
    ReplayRuns,
    ReplayStatus,
    ReportReplay,
)
from penstock.services.operator.access import actor_of, require
from penstock.services.operator.replay.report import Refusals, Reporter
from penstock.services.operator.replay.runs import Runs

Json = dict[str, Any]
Approval = Literal["own", "another"]
APPROVER = "approver"


class SourcePlanner(Protocol):
    """Makes plans for one kind of source."""

    async def plan(self, request: PlanReplay, actor: str) -> ReplayPlan:
        """The plan, stored under its hash. Raises Refused with a REPLAY_… code."""
        ...

    async def count_again(self, plan: ReplayPlan) -> None:
        """Raises Refused REPLAY_PLAN_CHANGED when it is not what was planned any more."""
        ...


class Operations:
    """The operations of svc.operator. `approval`: who may apply a plan, its author or only another."""

    def __init__(
        self,
        broker: Broker,
        contracts: Contracts,
        runs: Runs,
        approval: Approval,
        planners: Mapping[str, SourcePlanner],
        refusals: Refusals,
    ) -> None:
        """`planners` by the source of their plans; `refusals` for the reports of redrives."""
        self._broker = broker
        self._runs = runs
        self._planners = planners
        self._reporter = Reporter(broker, contracts, runs, refusals)
        self._approval = approval

    @property
    def all(self) -> dict[str, Callable[[Json, RequestCaller], Awaitable[Json]]]:
        """By name, as the contract has them."""
        return {
            "plan": self.plan,
            "apply": self.apply,
            "list": self.list,
            "status": self.status,
            "pause": self.pause,
            "resume": self.resume,
            "rate": self.rate,
            "cancel": self.cancel,
            "report": self.report,
        }

    async def plan(self, request: Json, caller: RequestCaller) -> Json:
        """PlanReplay → ReplayPlan."""
        require(caller, "operator", "plan")
        wanted = PlanReplay.read(request)
        actor = actor_of(caller, wanted.by)
        plan = await self._planner(wanted.source).plan(wanted, actor)
        await record.write(
            self._broker,
            "replay_planned",
            actor,
            plan=plan.hash,
            target=plan.target,
            source=plan.source,
            effect=plan.effect,
            planned=plan.counts.total,
            reason=plan.reason,
            **({"patch": plan.patch, "patch_digest": plan.patch_digest} if plan.patch else {}),
        )
        await self._runs.keep(plan)
        return plan.to_json()

    async def apply(self, request: Json, caller: RequestCaller) -> Json:
        """ApplyReplay → ReplayRun. Raises Refused REPLAY_PLAN_CHANGED, REPLAY_TARGET_BUSY, REPLAY_INCOMPLETE, …"""
        require(caller, "operator", "apply")
        wanted = ApplyReplay.read(request)
        actor = actor_of(caller, wanted.by)
        plan = await self._runs.plan(wanted.plan)
        self._approve(plan, caller, actor)
        id = wanted.run or f"r-{plan.hash[:SHORT]}"
        known = await self._known(id, plan)
        if known is not None and known.state != "planned":
            return known.to_json()
        if not plan.exact:
            raise Refused("REPLAY_INCOMPLETE", f"plan {plan.hash[:SHORT]} counts 'at least' {plan.counts.total}")
        holder, revision = await self._free(plan.target, id)
        if known is not None and holder.run == id:
            return known.to_json()
        await self._planner(plan.source).count_again(plan)
        run = known or await self._create(id, plan, actor)
        await self._take(run, holder, revision)
        return run.to_json()

    async def list(self, request: Json, caller: RequestCaller) -> Json:
        """ListReplays → ReplayRuns."""
        require(caller, "operator", "list")
        wanted = ListReplays.read(request)
        kept, unreadable = await self._runs.all()
        runs = [run for run in kept if not (wanted.active and run.ended)]
        return ReplayRuns(runs=[_short(run) for run in runs[: wanted.limit]], unreadable=unreadable).to_json()

    async def status(self, request: Json, caller: RequestCaller) -> Json:
        """ReplayRef → ReplayStatus."""
        require(caller, "operator", "status")
        run, _ = await self._runs.get(ReplayRef.read(request).run)
        progress = await self._runs.progress(run.id)
        return ReplayStatus.model_validate({**progress, "run": run.to_json()}).to_json()

    async def pause(self, request: Json, caller: RequestCaller) -> Json:
        """ChangeReplay → ReplayRun."""
        return await self._move("pause", "paused", request, caller)

    async def resume(self, request: Json, caller: RequestCaller) -> Json:
        """ChangeReplay → ReplayRun."""
        require(caller, "operator", "resume")
        wanted = ChangeReplay.read(request)
        run, _ = await self._runs.get(wanted.run)
        if run.state == "planned":  # only its operator starts it, once it has its consumers
            raise Refused(
                "CONFLICT", f"run {run.id} is {run.state}; it starts by itself, as soon as its target is free"
            )
        return await self._move("resume", "running", request, caller)

    async def rate(self, request: Json, caller: RequestCaller) -> Json:
        """ReplayRate → ReplayRun."""
        require(caller, "operator", "rate")
        wanted = ReplayRate.read(request)
        actor = actor_of(caller, wanted.by)
        return (await self._runs.set_rate(wanted.run, wanted.rate, actor, wanted.reason)).to_json()

    async def cancel(self, request: Json, caller: RequestCaller) -> Json:
        """ChangeReplay → ReplayRun."""
        return await self._move("cancel", "cancelled", request, caller)

    async def report(self, request: Json, caller: RequestCaller) -> Json:
        """ReportReplay → ReplayReport."""
        require(caller, "operator", "report")
        wanted = ReportReplay.read(request)
        run, _ = await self._runs.get(wanted.run)
        return (await self._reporter.report(run, wanted.verify)).to_json()

    async def _move(
        self, operation: str, state: Literal["running", "paused", "cancelled"], request: Json, caller: RequestCaller
    ) -> Json:
        require(caller, "operator", operation)
        wanted = ChangeReplay.read(request)
        return (await self._runs.move(wanted.run, state, actor_of(caller, wanted.by), wanted.reason)).to_json()

    def _planner(self, source: str) -> SourcePlanner:
        if (planner := self._planners.get(source)) is None:
            raise Refused("REPLAY_UNSUPPORTED", f"nothing can be replayed from {source} yet", pointer="/source")
        return planner

    def _approve(self, plan: ReplayPlan, caller: RequestCaller, actor: str) -> None:
        if self._approval == "own":
            return
        if actor == plan.by:
            raise Refused("REPLAY_APPROVAL_MISSING", f"{actor} planned this; another must apply it")
        if caller.on_behalf is not None and APPROVER not in caller.roles:
            raise Refused("REPLAY_APPROVAL_MISSING", f"{actor} has not the role {APPROVER}")

    async def _known(self, id: str, plan: ReplayPlan) -> Run | None:
        """The run of that id. Raises Refused CONFLICT when it carries out another plan."""
        run = await self._find(id)
        if run is not None and run.plan != plan.hash:
            raise Refused("CONFLICT", f"run {id} carries out another plan, {run.plan[:SHORT]}")
        return run

    async def _find(self, id: str) -> Run | None:
        found = await if_there(self._runs.get(id))
        return found[0] if found is not None else None

    async def _free(self, target: str, id: str) -> tuple[Holder, int]:
        """The holder of a target that nobody else has. Raises Refused REPLAY_TARGET_BUSY."""
        holder, revision = await self._runs.holder(target)
        if holder.run and holder.run != id:
            other = await self._find(holder.run)
            if other is None:
                return holder, revision
            # Its leader still marks the dead letters, or takes back what its subscriber did not acknowledge.
            if other.ended and (other.source == "dead_letters" or other.effect == "deliver"):
                raise Refused("REPLAY_TARGET_BUSY", f"run {other.id} of {target} is {other.state} and being closed")
            if not other.ended:
                raise Refused("REPLAY_TARGET_BUSY", f"{target} has run {other.id}, which is {other.state}")
            await self._runs.finish(other)
            holder, revision = await self._runs.holder(target)
        return holder, revision

    async def _create(self, id: str, plan: ReplayPlan, actor: str) -> Run:
        now = timestamps.text(time.time_ns())
        run = Run(
            id=id,
            plan=plan.hash,
            target=plan.target,
            source=plan.source,
            effect=plan.effect,
            ranges=plan.ranges,
            planned=plan.counts.total,
            rate=plan.rate,
            changes=(Change(state="planned", at=now, by=actor, why=plan.reason),),
            match=plan.match,
            store=plan.store,
            alias=plan.alias,
            side_effects=plan.side_effects,
            patch_digest=plan.patch_digest,
        )
        await self._runs.create(run, actor)
        return run

    async def _take(self, run: Run, holder: Holder, revision: int) -> None:
        """Gives the target to the run, in the slot that the last one had not."""
        slot = REPLAY_SLOTS[1 - REPLAY_SLOTS.index(holder.slot)]
        try:
            await self._runs.take(run.target, Holder(run.id, slot), revision)
        except Refused as error:
            if error.code != "CONFLICT":
                raise
            other, _ = await self._runs.holder(run.target)
            if other.run != run.id:
                raise Refused("REPLAY_TARGET_BUSY", f"{run.target} was given to run {other.run}") from None


def _short(run: Run) -> Run:
    """A run for a list: without its filters, which may be a thousand."""
    ranges = tuple(part.model_copy(update={"filters": ()}) for part in run.ranges)
    return run.model_copy(update={"ranges": ranges})
