"""What a worker says of one message: done, retry after, or drop with a code. There is no fourth verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Done:
    """The sink has the message on disk; it is acknowledged. `answer` goes to whoever waits for this stage.

    `unwritten`: why nothing was written, which only a replay asks: the sink holds newer data in its place, or the
    message is not one of those to be replayed.
    """

    answer: dict[str, Any] | None = None
    unwritten: Literal["", "superseded", "filtered"] = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """The sink could not say yes for a reason that will pass; redelivered after `after` seconds (plus jitter)."""

    after: float
    why: str


@dataclass(frozen=True, slots=True)
class Failed(Retry):
    """The lane's own outcome of a message whose handler raised. It comes again as after a retry, but when its handler
    fails time after time, the message is handled alone (isolation.py)."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The message can never succeed: dead-lettered under `code` (contracts/errors.yaml), then terminated.

    `key` is the event's, where it is known.
    """

    code: str
    reason: str
    key: str = ""


Outcome = Done | Retry | Drop
