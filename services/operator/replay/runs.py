"""The bucket `replays`: plans, runs, holders of targets; each change is audited first, then made by compare-and-set."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from pydantic import ValidationError

from penstock.audit import record
from penstock.broker import Broker, Entry, Keys, if_there
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.replay.plan import hash_of, plan_key
from penstock.replay.run import BUCKET, NOTIFICATION, Holder, Run, State, run_key, target_key
from penstock.rpc.messages import ReplayPlan, ReplayStatus, StoreSelection, UnreadableRun
from penstock.services.operator.replay import consumers

_log = structlog.get_logger("penstock.operator.replay")

TRIES = 8  # of a compare-and-set that others win


class Runs:
    """Reads and changes what the bucket holds. Used by every replica."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.keys = Keys(broker, BUCKET)

    async def plan(self, hash: str) -> ReplayPlan:
        """A plan by its hash. Raises Refused NOT_FOUND, or REPLAY_PLAN_CHANGED when it is not what was hashed."""
        plan = ReplayPlan.model_validate_json((await self._entry(plan_key(hash), f"plan {hash}")).value)
        if hash_of(plan) != hash:
            raise Refused("REPLAY_PLAN_CHANGED", f"what is kept under {hash} has another hash")
        return plan

    async def keep(self, plan: ReplayPlan) -> None:
        """Stores a plan under its hash."""
        await self.keys.put(plan_key(plan.hash), orjson.dumps(plan.to_json()))

    async def get(self, id: str) -> tuple[Run, int]:
        """A run and its revision. Raises Refused NOT_FOUND, or REPLAY_UNREADABLE."""
        entry = await self._entry(run_key(id), f"run {id}; `penstock replay list` names those there are")
        return _run(id, entry), entry.revision

    async def all(self) -> tuple[list[Run], list[UnreadableRun]]:
        """Every run that is kept, newest first, and those that cannot be read."""
        runs: list[Run] = []
        unreadable: list[UnreadableRun] = []
        for key, entry in (await self.keys.latest("run.>")).items():
            id = key.partition(".")[2]
            try:
                runs.append(_run(id, entry))
            except Refused as error:
                unreadable.append(UnreadableRun(id=id, why=error.detail))
        return sorted(runs, key=lambda run: run.changes[0].at if run.changes else "", reverse=True), unreadable

    async def holder(self, target: str) -> tuple[Holder, int]:
        """Who has a target; revision 0 when nobody ever had."""
        entry = await if_there(self.keys.get(target_key(target)))
        if entry is None:
            return Holder(), 0
        return Holder.decode(entry.value), entry.revision

    async def held(self) -> dict[str, Holder]:
        """The holders of all targets that are held."""
        entries = await self.keys.all("target.>")
        found = {key.partition(".")[2]: Holder.decode(entry.value) for key, entry in entries.items()}
        return {target: holder for target, holder in found.items() if holder.run}

    async def create(self, run: Run, actor: str) -> None:
        """A new run. Raises Refused CONFLICT when the id is taken."""
        await self.audit("applied", run, actor, run.changes[-1].why)
        await self.keys.put(run.key, run.encode(), expected=0)

    async def take(self, target: str, holder: Holder, revision: int) -> None:
        """Gives the target to a run. Raises Refused CONFLICT when another was faster."""
        await self.keys.put(target_key(target), holder.encode(), expected=revision)
        self.notify()

    async def move(self, id: str, state: State, actor: str, why: str = "", **members: Any) -> Run:
        """Moves a run; one that is there already stays as it is. Raises Refused CONFLICT when it cannot become that."""

        def moved(run: Run) -> Run:
            if run.state == state:
                return run
            now = timestamps.text(time.time_ns())
            return run.move(state, at=now, by=actor, why=why).model_copy(update=members)

        return await self._change(id, moved, state, actor, why)

    async def set_rate(self, id: str, rate: float, actor: str, why: str) -> Run:
        """Another rate. Raises Refused CONFLICT for a run that has ended."""

        def changed(run: Run) -> Run:
            if run.ended:
                raise Refused("CONFLICT", f"run {id} is {run.state}; it has no rate any more")
            return run.model_copy(update={"rate": rate})

        return await self._change(id, changed, "rate", actor, why)

    async def recount(self, id: str, planned: Mapping[str, int], why: str) -> Run:
        """Puts right how many messages of each stream a run has, where that is known only once all are read."""

        def changed(run: Run) -> Run:
            ranges = tuple(part.model_copy(update={"planned": planned.get(part.stream, 0)}) for part in run.ranges)
            return run.model_copy(update={"ranges": ranges, "planned": sum(planned.values())})

        return await self._change(id, changed, "recounted", "operator", why)

    async def widen(self, id: str, store: StoreSelection, why: str) -> Run:
        """Has a run read more of the store than was planned, before anything is read."""
        return await self._change(id, lambda run: run.model_copy(update={"store": store}), "recounted", "operator", why)

    async def finish(self, run: Run) -> None:
        """Removes the consumers of a run that has ended, and frees its target."""
        for part in run.ranges:
            if part.consumer:
                await consumers.close_pair(self.broker, part)
        holder, revision = await self.holder(run.target)
        if holder.run != run.id:
            return
        try:
            await self.take(run.target, Holder("", holder.slot), revision)
        except Refused as error:
            if error.code != "CONFLICT":  # another replica was faster
                raise

    async def progress(self, id: str) -> dict[str, Any]:
        """What the leader last wrote of a run: members of ReplayStatus."""
        entry = await if_there(self.keys.get(f"progress.{id}"))
        if entry is None:
            return {}
        found: dict[str, Any] = ReplayStatus.model_validate_json(entry.value).to_json()
        return found

    async def put_progress(self, status: ReplayStatus) -> None:
        """Writes how far a run is."""
        await self.keys.put(f"progress.{status.run.id}", status.model_dump_json(exclude_none=True).encode())

    async def audit(self, what: str, run: Run, actor: str, why: str) -> None:
        """Puts a transition onto the audit trail, as replay_<what>. Raises Unavailable: then it does not happen."""
        await record.write(
            self.broker,
            f"replay_{what}",
            actor,
            run=run.id,
            plan=run.plan,
            target=run.target,
            source=run.source,
            effect=run.effect,
            planned=run.planned,
            rate=run.rate,
            reason=why,
            **({"patch_digest": run.patch_digest} if run.patch_digest else {}),
        )

    def notify(self) -> None:
        """Has everybody who follows the bucket look again."""
        self.broker.send(f"ctl.{NOTIFICATION}")

    async def _change(self, id: str, change: Callable[[Run], Run], what: str, actor: str, why: str) -> Run:
        for _ in range(TRIES):
            run, revision = await self.get(id)
            changed = change(run)
            if changed == run:
                return run
            await self.audit(what, changed, actor, why)
            try:
                await self.keys.put(run.key, changed.encode(), expected=revision)
            except Refused as error:
                if error.code != "CONFLICT":
                    raise
                continue
            _log.info("replay_changed", run=id, what=what, by=actor, reason=why)
            self.notify()
            return changed
        raise Unavailable("OVERLOADED", f"run {id} is being changed by others", retry_after=1)

    async def _entry(self, key: str, what: str) -> Entry:
        entry = await if_there(self.keys.get(key))
        if entry is None:
            raise Refused("NOT_FOUND", f"there is no {what}")
        return entry


def _run(id: str, entry: Entry) -> Run:
    try:
        return Run.model_validate_json(entry.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        member = ".".join([str(part) for part in first["loc"]])
        raise Refused("REPLAY_UNREADABLE", f"run {id}: {member + ': ' if member else ''}{first['msg']}") from None
