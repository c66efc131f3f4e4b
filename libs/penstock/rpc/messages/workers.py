"""svc.workers.*: the state of each replica of the workers, as it reports it, and the opening of their brakes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from penstock.rpc.messages.dead_letters import ErrorCode
from penstock.rpc.messages.fields import Reply, Request, Token
from penstock.rpc.messages.operator import Actor, Reason

MAX_SENTENCES = 32
MAX_PUBLISHERS = 20  # of a closed brake, the worst

Instance = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Sentence = Annotated[str, StringConstraints(max_length=4096)]


class Refusals(Request):
    """One publisher whose messages were refused."""

    publisher: Token
    refused: int = Field(ge=0)
    messages: int = Field(ge=0, description="of this publisher in all")


class ClosedBrake(Request):
    """Why a replica rests. `number` counts the closings of its process."""

    number: int = Field(ge=1)
    since: str = Field(max_length=40)
    until: str = Field(max_length=40, description="it then tries again by itself")
    codes: list[ErrorCode] = Field(max_length=100)
    publishers: list[Refusals] = Field(max_length=MAX_PUBLISHERS)


class WorkerReport(Request):
    """The state of one replica. The worker is who sends it."""

    instance: Instance
    reasons: list[Sentence] = Field(default_factory=list, max_length=MAX_SENTENCES, description="not to be ready")
    notes: list[Sentence] = Field(default_factory=list, max_length=MAX_SENTENCES)
    pending: int = Field(0, ge=0, description="messages that wait for its live lanes")
    behind: float = Field(0, ge=0, description="seconds; the age of what it handles now")
    brake: ClosedBrake | None = None
    stopped: bool | None = Field(None, description="true: the last report of this replica, which stops")


class WorkerOrder(Reply):
    """What the replica is to do. `resume`: the number of the closing that it is to end; 0: nothing."""

    resume: int = 0


class WorkersQuery(Request):
    """All workers, or one."""

    worker: Token | None = None


class WorkerReplica(Reply):
    """One replica, as it last reported. `age`: seconds since then."""

    worker: str
    instance: str
    ready: bool
    reasons: list[str]
    notes: list[str]
    pending: int
    behind: float
    brake: ClosedBrake | None = None
    age: float


class WorkerReplicas(Reply):
    """By worker and instance."""

    replicas: list[WorkerReplica]


class ResumeWorker(Request):
    """Opens the brake of every replica of a worker."""

    worker: Token
    reason: Reason
    by: Actor | None = None


class ResumedWorker(Reply):
    """The replicas whose brakes were closed: those that have opened them, and those that did not answer in time and
    will when they report again."""

    worker: str
    resumed: list[str]
    waiting: list[str]
