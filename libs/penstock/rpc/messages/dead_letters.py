"""svc.dead_letters.*: dead letters, grouped and counted, read one by one, parked, dropped and exported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from penstock.rpc.messages.fields import Reply, Request, Token
from penstock.rpc.messages.operator import Actor, Reason, ReplayTimes

MAX_LETTERS = 200  # in one page
MAX_GROUPS = 10_000

LetterState = Literal["open", "redriven", "parked", "dropped"]
LetterForm = Literal["full", "range"]
Mark = Literal["open", "parked", "dropped"]
ErrorCode = Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]{0,63}$")]
EventType = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class LetterSpan(Request):
    """Dead letters by their sequence on DLQ, both ends included."""

    first: int = Field(ge=1)
    last: int = Field(ge=1)


class LetterMatch(Request):
    """Which dead letters. Several values of a member are alternatives; several members must all hold."""

    workers: list[Token] = Field(default_factory=list, max_length=32)
    codes: list[ErrorCode] = Field(default_factory=list, max_length=100)
    types: list[EventType] = Field(default_factory=list, max_length=100)
    publishers: list[Token] = Field(default_factory=list, max_length=100)
    states: list[LetterState] = Field(default_factory=list, max_length=4, description="left out: open")
    sequences: list[LetterSpan] = Field(default_factory=list, max_length=100, description="on DLQ")
    time: ReplayTimes | None = Field(None, description="when the dead letters were stored")


class ListLetterGroups(Request):
    """Dead letters by worker, code, type, publisher, form and number of redrives."""

    match: LetterMatch = LetterMatch()


class LetterGroup(Reply):
    """Dead letters that have everything here in common. A range is one letter of many messages."""

    worker: str
    code: str
    type: str
    publisher: str
    form: LetterForm
    redrives: int = Field(0, description="how often these messages were redriven before they failed again")
    letters: int
    messages: int
    first_sequence: int
    last_sequence: int
    first_at: str
    last_at: str


class LetterGroups(Reply):
    """The groups with the most messages first. `complete` false: the index is still being read, all are 'at least'."""

    groups: list[LetterGroup]
    letters: int
    messages: int
    complete: bool


class ListLetters(Request):
    """Single dead letters, newest first; `before` is where the last page ended. `open_ranges`: with their messages."""

    match: LetterMatch = LetterMatch()
    before: int | None = Field(None, ge=1)
    limit: int = Field(50, ge=1, le=MAX_LETTERS)
    open_ranges: bool = False


class LetterMessage(Reply):
    """A message of a range, as its stream has it."""

    sequence: int
    subject: str
    stored_at: str


class LetterHead(Reply):
    """A dead letter without its payload. `sequence` is its own, on DLQ; the origin is the message that failed."""

    sequence: int
    stored_at: str
    state: LetterState
    worker: str
    code: str
    reason: str
    form: LetterForm
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
    opened: list[LetterMessage] = Field(default_factory=list)
    more: int = Field(0, description="messages of the range that are not in `opened`")


class LetterPage(Reply):
    """Newest first; `next` is the `before` of the next page."""

    letters: list[LetterHead]
    next: int | None = None
    complete: bool = True


class ShowLetter(Request):
    """One dead letter, by its sequence on DLQ."""

    sequence: int = Field(ge=1)


class Letter(Reply):
    """A dead letter, whole. `pointer` is where in the payload the failing member is, as far as the reason says."""

    head: LetterHead
    headers: dict[str, str]
    payload: str = Field(description="base64, byte for byte")
    pointer: str = ""
    history: list[LetterHead] = Field(default_factory=list, description="earlier failures of the message, newest first")


class LetterStatsQuery(Request):
    """No members: everything."""


class LetterCounts(Reply):
    """Letters, and the messages that they stand for."""

    letters: int = 0
    messages: int = 0


class OpenLetters(Reply):
    """Open dead letters of one worker and code."""

    worker: str
    code: str
    letters: int
    messages: int


class LetterStats(Reply):
    """All dead letters, and how full their stream is. `full_in_hours` at the pace of the last hour; none: never."""

    states: dict[str, LetterCounts]
    open: list[OpenLetters]
    bytes: int
    max_bytes: int
    share: float = Field(description="of max_bytes, 0 to 1")
    per_hour: int = Field(description="bytes of the last hour's letters, estimated from the average")
    full_in_hours: float | None = None
    oldest_at: str = ""
    kept_for_hours: float | None = Field(None, description="max_age of the stream")
    complete: bool


class MarkLetters(Request):
    """Moves dead letters into another state. The condition must name something: not everything at once."""

    match: LetterMatch
    reason: Reason
    by: Actor | None = None


class MarkedLetters(Reply):
    """What was changed; what had the state before does not count."""

    state: Mark
    letters: int
    messages: int


class ExportLetters(Request):
    """Whole dead letters, oldest first, from behind `after` on."""

    match: LetterMatch = LetterMatch()
    after: int = Field(0, ge=0)
    reason: Reason
    by: Actor | None = None


class ExportedLetter(Reply):
    """A dead letter as the stream has it, and its state."""

    sequence: int
    stored_at: str
    state: LetterState
    subject: str
    headers: dict[str, str]
    payload: str = Field(description="base64, byte for byte")


class ExportPage(Reply):
    """As many as fit; `next` is the `after` of the next page, none at the end. `matched` counts letters in all, as
    `expired` those that the stream dropped meanwhile."""

    letters: list[ExportedLetter]
    next: int | None = None
    matched: int
    expired: int = 0
