"""svc.dead_letters.*: dead letters, grouped and counted, read one by one, parked, dropped and exported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from penstock.rpc.messages.fields import Reply, Request, Token
from penstock.rpc.messages.operator import Actor, Reason, ReplayTimes

MAX_DEAD_LETTERS = 200  # in one page
MAX_GROUPS = 10_000

DeadLetterState = Literal["open", "redriven", "parked", "dropped"]
DeadLetterForm = Literal["full", "range"]
Mark = Literal["open", "parked", "dropped"]
ErrorCode = Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]{0,63}$")]
EventType = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class DeadLetterSpan(Request):
    """Dead letters by their sequence on DLQ, both ends included."""

    first: int = Field(ge=1)
    last: int = Field(ge=1)


class DeadLetterMatch(Request):
    """Which dead letters. Several values of a member are alternatives; several members must all hold."""

    workers: list[Token] = Field(default_factory=list, max_length=32)
    codes: list[ErrorCode] = Field(default_factory=list, max_length=100)
    types: list[EventType] = Field(default_factory=list, max_length=100)
    publishers: list[Token] = Field(default_factory=list, max_length=100)
    states: list[DeadLetterState] = Field(default_factory=list, max_length=4, description="left out: open")
    sequences: list[DeadLetterSpan] = Field(default_factory=list, max_length=100, description="on DLQ")
    time: ReplayTimes | None = Field(None, description="when the dead letters were stored")


class ListDeadLetterGroups(Request):
    """Dead letters by worker, code, type, publisher, form and number of redrives."""

    match: DeadLetterMatch = DeadLetterMatch()


class DeadLetterGroup(Reply):
    """Dead letters that have everything here in common. A range is one dead letter of many messages."""

    worker: str
    code: str
    type: str
    publisher: str
    form: DeadLetterForm
    redrives: int = Field(0, description="how often these messages were redriven before they failed again")
    dead_letters: int
    messages: int
    first_sequence: int
    last_sequence: int
    first_at: str
    last_at: str


class DeadLetterGroups(Reply):
    """The groups with the most messages first. `complete` false: the index is still being read, all are 'at least'."""

    groups: list[DeadLetterGroup]
    dead_letters: int
    messages: int
    complete: bool


class ListDeadLetters(Request):
    """Single dead letters, newest first; `before` is where the last page ended. `open_ranges`: with their messages."""

    match: DeadLetterMatch = DeadLetterMatch()
    before: int | None = Field(None, ge=1)
    limit: int = Field(50, ge=1, le=MAX_DEAD_LETTERS)
    open_ranges: bool = False


class DeadLetterMessage(Reply):
    """A message of a range, as its stream has it."""

    sequence: int
    subject: str
    stored_at: str


class DeadLetterHead(Reply):
    """A dead letter without its payload. `sequence` is its own, on DLQ; the origin is the message that failed."""

    sequence: int
    stored_at: str
    state: DeadLetterState
    worker: str
    code: str
    reason: str
    form: DeadLetterForm
    type: str
    publisher: str
    subject: str = Field(description="of the message that failed")
    origin_stream: str
    origin_sequence: int = Field(description="of a range: the first")
    origin_last: int = Field(description="of a range: the last; else the same")
    messages: int
    key: str = ""
    redrives: int = 0
    run: str = Field("", description="the run in which it failed")
    previous: int | None = Field(None, description="the dead letter whose redrive failed")
    opened: list[DeadLetterMessage] = Field(default_factory=list)
    more: int = Field(0, description="messages of the range that are not in `opened`")


class DeadLetterPage(Reply):
    """Newest first; `next` is the `before` of the next page."""

    dead_letters: list[DeadLetterHead]
    next: int | None = None
    complete: bool = True


class ShowDeadLetter(Request):
    """One dead letter, by its sequence on DLQ."""

    sequence: int = Field(ge=1)


class DeadLetter(Reply):
    """A dead letter, whole. `pointer` is where in the payload the failing member is, as far as the reason says."""

    head: DeadLetterHead
    headers: dict[str, str]
    payload: str = Field(description="base64, byte for byte")
    pointer: str = ""
    history: list[DeadLetterHead] = Field(
        default_factory=list, description="earlier failures of the message, newest first"
    )


class DeadLetterStatsQuery(Request):
    """No members: everything."""


class DeadLetterCounts(Reply):
    """Letters, and the messages that they stand for."""

    dead_letters: int = 0
    messages: int = 0


class OpenDeadLetters(Reply):
    """Open dead letters of one worker and code."""

    worker: str
    code: str
    dead_letters: int
    messages: int


class LimitedPublisher(Reply):
    """A publisher that used up its share of full dead letters at a worker within the last hour: its ranges since."""

    worker: str
    publisher: str
    dead_letters: int
    messages: int


class DeadLetterStats(Reply):
    """All dead letters, and how full their stream is. `full_in_hours` at the pace of the last hour; none: never."""

    states: dict[str, DeadLetterCounts]
    open: list[OpenDeadLetters]
    over_share: list[LimitedPublisher] = Field(default_factory=list, description="those with the most messages first")
    bytes: int
    max_bytes: int
    share: float = Field(description="of max_bytes, 0 to 1")
    per_hour: int = Field(description="bytes of the last hour's dead letters, estimated from the average")
    full_in_hours: float | None = None
    oldest_at: str = ""
    kept_for_hours: float | None = Field(None, description="max_age of the stream")
    complete: bool


class MarkDeadLetters(Request):
    """Moves dead letters into another state. The condition must name something: not everything at once."""

    match: DeadLetterMatch
    reason: Reason
    by: Actor | None = None


class MarkedDeadLetters(Reply):
    """What was changed; what had the state before does not count."""

    state: Mark
    dead_letters: int
    messages: int


class ExportDeadLetters(Request):
    """Whole dead letters, oldest first, from behind `after` on."""

    match: DeadLetterMatch = DeadLetterMatch()
    after: int = Field(0, ge=0)
    reason: Reason
    by: Actor | None = None


class ExportedDeadLetter(Reply):
    """A dead letter as the stream has it, and its state."""

    sequence: int
    stored_at: str
    state: DeadLetterState
    subject: str
    headers: dict[str, str]
    payload: str = Field(description="base64, byte for byte")


class ExportPage(Reply):
    """As many as fit; `next` is the `after` of the next page, none at the end. `matched` counts dead letters in all, as
    `expired` those that the stream dropped meanwhile."""

    dead_letters: list[ExportedDeadLetter]
    next: int | None = None
    matched: int
    expired: int = 0
