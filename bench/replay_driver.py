"""Runs of a replay without an operator: no plan, no pace, no rest. What a worker can do at most."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from penstock.broker import Broker, Keys
from penstock.contracts import subjects
from penstock.replay.outcomes import decode
from penstock.replay.run import BUCKET, NOTIFICATION, Holder, Range, Run, target_key
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import ReplayAllowance
from penstock.rpc.server import serve
from penstock.services.operator.replay import consumers

RATE = 1_000_000.0  # events a second: as fast as the worker can


@dataclass
class Driver:
    """The operator, as far as one run needs it: no plan, no pace, no rest."""

    broker: Broker
    run: Run | None = None
    slot: str = "b"

    async def open(self) -> Driver:
        """Grants whatever is asked for."""
        await serve(self.broker, "replay", {"progress": self._progress})
        return self

    async def apply(self, worker: str, range: Range) -> Run:
        """Starts a run, with a consumer made for it."""
        self.slot = "a" if self.slot == "b" else "b"
        range = range.model_copy(update={"consumer": f"replay_{worker}_{self.slot}"})
        run = Run(
            id=f"bench-{worker}-{time.time_ns()}",
            plan="0" * 64,
            target=worker,
            source="events",
            effect="repair",
            ranges=(range,),
            planned=range.planned,
            rate=RATE,
            state="running",
        )
        await consumers.open_pair(self.broker, range, run.id)
        await self._put(run, Holder(run.id, self.slot))
        return run

    async def end(self, run: Run) -> None:
        """Marks the run as done, and removes its consumer."""
        await self._put(run.move("done", at="2026-01-01T00:00:00Z", by="bench"), Holder("", self.slot))
        [range] = run.ranges
        await consumers.close_pair(self.broker, range)

    async def prove(self, run: Run) -> None:
        """Raises RuntimeError unless every message of the run has its outcome on record."""
        [range], found, sequence = run.ranges, set[int](), 1
        subject = subjects.replay_log(run.target, run.id)
        while page := await self.broker.jetstream.get_many("REPLAY_LOG", subject=subject, sequence=sequence):
            for message in page:
                found.update(*decode(message.data)[range.stream].values())
            sequence = page[-1].sequence + 1
        if len(found) != range.planned or min(found) < range.first or max(found) > range.last:
            raise RuntimeError(f"{run.id}: {len(found)} outcomes of {range.planned} messages")

    async def _put(self, run: Run, holder: Holder) -> None:
        self.run = run
        keys = Keys(self.broker, BUCKET)
        await keys.put(run.key, run.encode())
        await keys.put(target_key(run.target), holder.encode())
        self.broker.send(f"ctl.{NOTIFICATION}")

    async def _progress(self, request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        del request, caller
        state = self.run.state if self.run else "cancelled"
        return ReplayAllowance(state=state, rate=RATE if state == "running" else 0.0).to_json()
