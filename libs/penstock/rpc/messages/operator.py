"""svc.operator.*: replays, planned by count and driven as runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from penstock.rpc.messages.fields import EntityName, Key, Reply, Request, Token, TypeName
from penstock.rpc.messages.store_replay import RecordMatch

MIN_RATE, MAX_RATE = 0.01, 1_000_000  # events a second
MAX_RUNS = 200  # in one list

ReplaySource = Literal["events", "scores", "dead_letters", "store"]
ReplayEffect = Literal["repair", "rebuild", "redrive", "rescore", "deliver"]
ReplayState = Literal["planned", "running", "paused", "swapping", "done", "failed", "cancelled"]
RunId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]
CountName = Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")]
PlanHash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{8,64}$")]
# RFC 3339, or a duration before now like -PT2H, or now
Moment = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Rate = Annotated[float, Field(ge=MIN_RATE, le=MAX_RATE, description="events a second, over all replicas of the target")]
Reason = Annotated[str, StringConstraints(max_length=1024)]
Actor = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class ReplayTimes(Request):
    """When the stream stored the messages; of the store, the events' own time. `from` is included, `to` is not;
    left out it is the end as it is now."""

    from_: Moment | None = Field(None, alias="from", examples=["-PT2H"])
    to: Moment | None = None


class ReplaySequences(Request):
    """A part of one stream, both ends included; `last` left out is the end as it is now."""

    stream: Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]{0,63}$")]
    first: int = Field(ge=1)
    last: int | None = Field(None, ge=1)


class ReplayMatch(Request):
    """Which messages. Several values of a member are alternatives; several members must all hold."""

    publishers: list[Token] = Field(default_factory=list, max_length=100)
    types: list[TypeName] = Field(default_factory=list, max_length=100)
    datasets: list[Token] = Field(default_factory=list, max_length=32)
    models: list[Token] = Field(default_factory=list, max_length=32, description="of scores")
    entity: EntityName | None = None
    key: Key | None = None
    codes: list[str] = Field(default_factory=list, max_length=32, description="of dead letters")
    states: list[Literal["open", "parked", "redriven"]] = Field(
        default_factory=list, max_length=3, description="of dead letters; left out: open"
    )


class PlanReplay(Request):
    """What to replay, to whom, how fast and why. `by` counts only from the command line's identity."""

    target: Token = Field(description="indexer, writer or scorer, or the identity of a subscriber")
    source: ReplaySource = "events"
    time: ReplayTimes | None = None
    sequences: list[ReplaySequences] = Field(default_factory=list, max_length=16)
    match: ReplayMatch = ReplayMatch()
    effect: ReplayEffect | None = Field(None, description="left out: what the target does with the source in place")
    table: Literal["events", "timeline"] | None = Field(None, description="of Cassandra, to rebuild by the writer")
    period: str | None = Field(None, pattern="^[0-9]{4}(s|(-[0-9]{2}){0,2})$", description="of the index to rebuild")
    rate: Rate = 5000.0
    side_effects: bool = Field(False, description="let the target also send what it sends for new events")
    patch: dict[str, Any] | None = Field(
        None, description="JSON merge patch (RFC 7396) for the payloads of dead letters on their way"
    )
    count: CountName | None = Field(None, description="of the same plan as it was made before: go on with its count")
    reason: Reason = ""
    by: Actor | None = None


class ReplayRange(Reply):
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


class StoreSelection(Reply):
    """Which records of the store a run reads: those of these periods that match and were stored before its bounds.
    `lives`: where the present life of each stream begins, which was made anew when its epoch changed."""

    periods: tuple[str, ...]
    match: RecordMatch = RecordMatch()
    lives: dict[str, int] = Field(default_factory=dict)


class ReplayCounts(Reply):
    """How many messages, in all and by what they are."""

    total: int
    by_type: dict[str, int] = Field(default_factory=dict)
    by_publisher: dict[str, int] = Field(default_factory=dict)
    by_day: dict[str, int] = Field(default_factory=dict, description="UTC day on which the stream stored them")


class ReplayPlan(Reply):
    """A plan, frozen: apply carries out exactly this or refuses. `hash` is over every other member."""

    hash: str = ""
    at: str
    by: str
    reason: str
    target: str
    source: ReplaySource
    effect: ReplayEffect
    rate: float
    side_effects: bool = False
    ranges: tuple[ReplayRange, ...]
    match: dict[str, str] = Field(default_factory=dict, description="what the target itself filters by")
    store: StoreSelection | None = Field(None, description="of a plan whose source is the store")
    alias: str = Field("", description="of the index that is rebuilt")
    counts: ReplayCounts
    exact: bool = Field(True, description="false: the counts are 'at least', and the plan cannot be applied")
    count: str = Field("", description="of the store, that another request for this plan can go on with")
    bytes: int = Field(0, description="of the messages, estimated from the streams' averages")
    disk: int = Field(0, description="bytes needed beside what is there")
    seconds: float = Field(0, description="at the rate")
    does: str = ""
    warnings: tuple[str, ...] = ()
    dead_letters: int = Field(0, description="dead letters that are redriven")
    dead_letter_states: tuple[Literal["open", "parked", "redriven", "dropped"], ...] = ()
    selection: str = Field("", description="SHA-256 of which dead letters these are")
    patch: str = Field("", description="the merge patch as it is applied")
    patch_digest: str = Field("", description="SHA-256 of the patch")


class ApplyReplay(Request):
    """Starts the run of a plan. The same run id again answers with the same run."""

    plan: PlanHash
    run: RunId | None = Field(None, description="default: r- and the first 12 digits of the hash")
    by: Actor | None = None


class ReplayRef(Request):
    """One run."""

    run: RunId


class ChangeReplay(ReplayRef):
    """Moves a run into another state, and says why."""

    reason: Reason = ""
    by: Actor | None = None


class ReplayRate(ChangeReplay):
    """Another rate for a run."""

    rate: Rate


class ReportReplay(ReplayRef):
    """What became of a run's messages; `verify` compares this many of them with what the store holds."""

    verify: int = Field(0, ge=0, le=1000)


class ListReplays(Request):
    """Runs, newest first; `active` leaves out those that ended."""

    active: bool = False
    limit: int = Field(50, ge=1, le=MAX_RUNS)


class ReplayChange(Reply):
    """One transition: to which state, when (RFC 3339), by whom, why."""

    state: ReplayState
    at: str
    by: str
    why: str = ""


class ReplayRun(Reply):
    """A run. `rate` in events a second over all replicas of the target."""

    id: str
    plan: str = Field(description="hash of the plan that it carries out")
    target: str = Field(description="the worker, or the identity that subscribes")
    source: ReplaySource
    effect: ReplayEffect
    ranges: tuple[ReplayRange, ...]
    planned: int
    rate: float = Field(gt=0)
    state: ReplayState = "planned"
    changes: tuple[ReplayChange, ...] = ()
    match: dict[str, str] = Field(default_factory=dict, description="conditions that a subject cannot express")
    store: StoreSelection | None = Field(None, description="of a run whose source is the store")
    alias: str = Field("", description="of the index that is rebuilt")
    side_effects: bool = False
    patch_digest: str = Field("", description="SHA-256 of the merge patch that a redrive applies")
    generation: int = Field(0, description="of the index or table that a rebuild fills; 0: the live one")


class RebuiltIndex(Reply):
    """The rebuild of a period's index, and which of its indices is live, which beside it."""

    alias: str
    run: str
    state: str
    live: str | None = None
    beside: str | None = None


class UnreadableRun(Reply):
    """A run that is kept and cannot be read: it is of another release, or damaged."""

    id: str
    why: str


class ReplayRuns(Reply):
    """Newest first."""

    runs: list[ReplayRun]
    unreadable: list[UnreadableRun] = Field(default_factory=list)


class ReplayOutcomes(Reply):
    """What became of messages: confirmed by the sink, skipped as older than what is there, parked as dead letters,
    or filtered by the worker."""

    confirmed: int = 0
    skipped: int = 0
    parked: int = 0
    filtered: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.confirmed + self.skipped + self.parked + self.filtered


class LiveLag(Reply):
    """How far the target's live traffic is behind."""

    pending: int = 0
    behind_seconds: float = 0.0


class ReplayStatus(Reply):
    """A run and how far it is. `allowed` is the rate that the brake lets through now, and `why` the reason when it is
    below the run's own."""

    run: ReplayRun
    outcomes: ReplayOutcomes = ReplayOutcomes()
    delivered: int = 0
    in_hand: int = Field(0, description="delivered and not acknowledged")
    rate: float = Field(0, description="events a second, lately")
    allowed: float = 0
    why: str = ""
    live: LiveLag = LiveLag()
    instances: int = Field(0, description="replicas of the target at work on it")
    seconds_left: float | None = None
    at: str = ""


class ReplayProof(Reply):
    """The sum for one stream: planned = confirmed + skipped + parked + filtered, or what is missing."""

    stream: str
    planned: int
    outcomes: ReplayOutcomes
    missing: int = 0


class ReplaySample(Reply):
    """Contents compared with the stream: `differ` names the keys that the store has otherwise, `absent` not at all."""

    store: str
    compared: int = 0
    equal: int = 0
    expired: int = Field(0, description="chosen, but no longer on the stream")
    differ: list[str] = Field(default_factory=list)
    absent: list[str] = Field(default_factory=list)
    in_store: int | None = Field(
        None,
        description="messages of the plan's types and time that the store counts; null where it cannot count just them",
    )


class RedriveRefusal(Reply):
    """A message that was not sent again, as its payload does not fit; its dead letter stays as it was."""

    dead_letter: int | None = Field(None, description="sequence of the dead letter on DLQ; none: it is of a range")
    stream: str
    sequence: int
    code: str
    reason: str


class ReplayReport(Reply):
    """The proof of a run. `holds`: every planned message has exactly one outcome, and no sample differed."""

    run: ReplayRun
    streams: list[ReplayProof]
    holds: bool
    seconds: float | None = None
    rate: float | None = None
    sample: ReplaySample | None = None
    refused: list[RedriveRefusal] = Field(default_factory=list, description="at most 1000, counted as filtered")


class ReplayProgress(Request):
    """How one replica of the target fares, every half second. `handled` counts since the last report. Members that a
    newer worker adds are ignored, so that a run goes on while workers are upgraded."""

    model_config = ConfigDict(extra="ignore")

    run: RunId
    instance: str = Field(min_length=1, max_length=64)
    handled: int = Field(0, ge=0)
    live_pending: int = Field(0, ge=0, description="messages that wait for the target's live lanes")
    live_behind: float = Field(0, ge=0, description="seconds")
    live_busy: float = Field(
        0, ge=0, le=1, description="share of the last second in which live messages were handled; 0 while none come"
    )
    push_back: int = Field(0, ge=0, description="refusals of the sink since the last report that ask for less")


class ReplayAllowance(Reply):
    """How fast this replica may replay for the next `seconds`; after that not at all until it has asked again."""

    state: ReplayState
    rate: float = Field(description="events a second for this replica")
    seconds: float = 3.0

    @model_validator(mode="after")
    def _only_running(self) -> Self:
        if self.state != "running" and self.rate:
            raise ValueError("only a running replay has a rate")
        return self
