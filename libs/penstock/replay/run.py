"""A run: the document in the bucket `replays`, the states it can be in, and who may move it between them.

    planned ─▶ running ⇄ paused
    planned, running, paused ─▶ cancelled;  running ─▶ done | failed;  planned, paused ─▶ failed

One document a run, changed by compare-and-set; each change says who made it and why.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import Refused

State = Literal["planned", "running", "paused", "done", "failed", "cancelled"]
NEXT: dict[State, frozenset[State]] = {
    "planned": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"paused", "done", "failed", "cancelled"}),
    "paused": frozenset({"running", "cancelled", "failed"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})
BUCKET = "replays"
NUDGE = "replays"  # ctl.replays: look again


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Range(_Document):
    """A part of one stream: sequences `first` to `last`, both included, of the messages that match `filters`.

    `consumer` is the consumer made for this run; `planned` how many messages match.
    """

    stream: str
    epoch: int
    first: int = Field(ge=1)
    last: int = Field(ge=0)
    filters: tuple[str, ...]
    planned: int = Field(ge=0)
    consumer: str = ""


class Change(_Document):
    """One transition: to which state, when (RFC 3339), by whom, why."""

    state: State
    at: str
    by: str
    why: str = ""


class Run(_Document):
    """A run as everybody reads it. `rate` in events a second over all replicas of the target."""

    id: str
    plan: str = Field(description="hash of the plan that it carries out")
    target: str = Field(description="the worker, or the identity that subscribes")
    source: Literal["events", "scores", "dead_letters", "store"]
    effect: Literal["repair", "rebuild", "redrive", "rescore", "deliver"]
    ranges: tuple[Range, ...]
    planned: int
    rate: float = Field(gt=0)
    state: State = "planned"
    changes: tuple[Change, ...] = ()
    match: dict[str, str] = Field(default_factory=dict, description="conditions that a subject cannot express")
    generation: int = Field(0, description="of the index or table that a rebuild fills; 0: the live one")

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return f"run.{self.id}"

    def move(self, state: State, *, at: str, by: str, why: str = "") -> Run:
        """The run in another state. Raises Refused CONFLICT when that state cannot follow."""
        if state not in NEXT[self.state]:
            raise Refused("CONFLICT", f"run {self.id} is {self.state}; it cannot become {state}")
        change = Change(state=state, at=at, by=by, why=why)
        return self.model_copy(update={"state": state, "changes": (*self.changes, change)})


def target_key(target: str) -> str:
    """The key that holds the id of the one run that a target may have at a time; empty: none."""
    return f"target.{target}"
