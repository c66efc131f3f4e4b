"""A run: the document in the bucket `replays`, the states it can be in, and who may move it between them.

    planned ─▶ running ⇄ paused
    planned, running, paused ─▶ cancelled;  running ─▶ done | failed;  planned, paused ─▶ failed
    running ─▶ swapping ─▶ done | failed: a rebuild that was verified, which nobody cancels from then on

One document a run, changed by compare-and-set; each change says who made it and why. `target.<target>` holds the one
run that a target may have, and the slot of its consumers: the next run gets the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import orjson

from penstock.broker import Keys
from penstock.contracts.topology import REPLAY_SLOTS
from penstock.errors import Refused
from penstock.rpc.messages import ReplayChange, ReplayRange, ReplayRun, ReplayState

Range = ReplayRange
Change = ReplayChange
State = ReplayState

NEXT: dict[State, frozenset[State]] = {
    "planned": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"paused", "swapping", "done", "failed", "cancelled"}),
    "paused": frozenset({"running", "cancelled", "failed"}),
    "swapping": frozenset({"done", "failed"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
BUCKET = "replays"
NOTIFICATION = "replays"  # ctl.replays: a run or the holder of a target has changed


class Run(ReplayRun):
    """A run as the bucket has it."""

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return run_key(self.id)

    @property
    def ended(self) -> bool:
        """Whether no state can follow."""
        return self.state in ENDED

    def move(self, state: State, *, at: str, by: str, why: str = "") -> Self:
        """The run in another state. Raises Refused CONFLICT when that state cannot follow, REPLAY_SWAPPING when it is
        too late for it."""
        if self.state == "swapping" and state not in NEXT[self.state]:
            raise Refused("REPLAY_SWAPPING", f"run {self.id} has rebuilt and verified {self.alias}; it is swapped now")
        if state not in NEXT[self.state]:
            raise Refused("CONFLICT", f"run {self.id} is {self.state}; it cannot become {state}")
        change = Change(state=state, at=at, by=by, why=why)
        return self.model_copy(update={"state": state, "changes": (*self.changes, change)})

    def encode(self) -> bytes:
        """As the bucket keeps it."""
        return orjson.dumps(self.to_json())


def run_key(id: str) -> str:
    """The key of a run."""
    return f"run.{id}"


def target_key(target: str) -> str:
    """The key of a target's holder."""
    return f"target.{target}"


@dataclass(frozen=True, slots=True)
class Holder:
    """Which run has a target (empty: none), and the slot of the consumers of the last that had it."""

    run: str = ""
    slot: str = REPLAY_SLOTS[-1]

    def encode(self) -> bytes:
        """As the bucket keeps it."""
        return orjson.dumps({"run": self.run, "slot": self.slot})

    @classmethod
    def decode(cls, value: bytes) -> Holder:
        """From the bucket."""
        body = orjson.loads(value)
        return cls(body["run"], body["slot"])


async def active_run(keys: Keys, target: str) -> Run | None:
    """The run that has the target now, in whatever state; two reads. Raises Unavailable."""
    try:
        holder = Holder.decode((await keys.get(target_key(target))).value)
        return Run.model_validate_json((await keys.get(run_key(holder.run))).value) if holder.run else None
    except Refused as error:
        if error.code == "NOT_FOUND":
            return None
        raise
