"""Requests and replies over svc.<service>.<operation>.<caller>, as the models that contracts/services.yaml names.

A request is checked twice: at the door, and again by the worker that answers. Unknown members are refused in
requests; a reply may grow members that an older caller ignores. Which datasets a caller may read is not said here:
it comes with the request from the server (services.Asker), and `datasets` can only narrow it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator

from penstock.contracts.subjects import TOKEN, TYPE
from penstock.errors import Refused
from penstock.events import ijson, timestamps
from penstock.events.event_key import is_key

MAX_HITS = 100
MAX_TIMELINE = 1000
MAX_KEYS = 1000
MAX_CHUNK = 512 * 1024  # base64 characters of one piece of a model; a message is at most 1 MiB

# Members outside an event's data that filters, sorting and counting know, and where the stored record has them.
# A field without `@` is a path in the data, as the type's `indexed` lists it: `level`, `exception.type`.
OUTER_FIELDS = {
    "@key": "key",
    "@entity": "entity",
    "@publisher": "publisher",
    "@door": "door",
    "@stored_at": "stored_at",
    "@type": "event.type",
    "@source": "event.source",
    "@id": "event.id",
}


def _time(text: str) -> str:
    try:
        timestamps.parse(text)
    except Refused as error:
        raise ValueError(error.detail) from None
    return text


def _within(ns: int) -> int:
    return max(0, min(ns, _LAST_NS))


_LAST_NS = 253_402_300_799_999_999_999  # the end of the year 9999


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError(f"{text!r} is not an event key")
    return text


Token = Annotated[str, StringConstraints(pattern="^" + TOKEN.pattern.replace(r"\Z", "$"))]
TypeName = Annotated[str, StringConstraints(pattern="^" + TYPE.pattern.replace(r"\Z", "$"), max_length=255)]
Key = Annotated[str, StringConstraints(max_length=36), AfterValidator(_key)]
Time = Annotated[str, StringConstraints(max_length=35), AfterValidator(_time)]
FieldName = Annotated[
    str, StringConstraints(pattern="^@?[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$", max_length=255)
]
EntityName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Datasets = Annotated[list[Token], Field(min_length=1, max_length=32)]
Types = Annotated[list[TypeName], Field(min_length=1, max_length=32)]
Plain = (
    bool
    | Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, StringConstraints(max_length=1024)]
)
Vector = Annotated[str, StringConstraints(min_length=4, max_length=8192)]  # penstock.scoring.vectors


class _Wire(BaseModel):
    def wire(self) -> dict[str, Any]:
        """The members as they go over the wire; what was not given is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Question(_Wire):
    """A request: unknown members are refused, and no text becomes a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    @classmethod
    def read(cls, request: dict[str, Any]) -> Self:
        """The question in a request. Raises Refused QUERY_INVALID with a pointer to the member at fault."""
        try:
            return cls.model_validate(request)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            # Members, not the branches of a union or a validator that pydantic names between them.
            members = [part for part in first["loc"] if not str(part).startswith(("function-", "constrained-"))]
            raise Refused("QUERY_INVALID", first["msg"], pointer=ijson.pointer(members)) from None


class Reply(_Wire):
    """A reply: unknown members are ignored."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True, validate_by_alias=True)


class TimeRange(Question):
    """Of the event's own time: from inclusive, to exclusive; either may be left open."""

    from_: Time | None = Field(None, alias="from", examples=["2026-11-20T00:00:00Z"])
    to: Time | None = None

    @property
    def from_ns(self) -> int | None:
        """Unix nanoseconds of the beginning, within the times that an event can have (1970 to 9999)."""
        return None if self.from_ is None else _within(timestamps.parse(self.from_))

    @property
    def to_ns(self) -> int | None:
        """Unix nanoseconds of the end, within the times that an event can have."""
        return None if self.to is None else _within(timestamps.parse(self.to))

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.from_ is not None and self.to is not None and timestamps.parse(self.from_) >= timestamps.parse(self.to):
            raise ValueError("`from` must lie before `to`")
        return self


class Filter(Question):
    """A condition on one field. `in` takes a list, `exists` true or false (default true), the others one value."""

    field: FieldName = Field(examples=["level"], description="path in the data, or one of " + ", ".join(OUTER_FIELDS))
    op: Literal["eq", "in", "gte", "lte", "gt", "lt", "exists", "prefix"] = "eq"
    value: Plain | Annotated[list[Plain], Field(min_length=1, max_length=256)] | None = Field(None, examples=["error"])

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if self.field.startswith("@") and self.field not in OUTER_FIELDS:
            raise ValueError(f"{self.field} is not one of {', '.join(OUTER_FIELDS)}")
        fits = {
            "in": isinstance(self.value, list),
            "exists": self.value is None or isinstance(self.value, bool),
            "prefix": isinstance(self.value, str) and self.value != "",
        }.get(self.op, self.value is not None and not isinstance(self.value, list))
        if not fits:
            raise ValueError(f"the value does not fit `{self.op}`")
        return self


class _Scope(Question):
    """Where to look. Left out: everything that the caller may read."""

    datasets: Datasets | None = None
    types: Types | None = None
    time: TimeRange | None = None


# --- search


class SearchQuery(_Scope):
    """Events by words, conditions, time and order."""

    text: Words | None = Field(None, description='words to find: all must be there; "quoted phrase", -without')
    entity: EntityName | None = None
    filters: list[Filter] = Field([], max_length=32)
    sort: Literal["time", "relevance", "anomaly"] | None = Field(
        None, description="default: relevance with text, else time"
    )
    order: Literal["asc", "desc"] = "desc"
    size: int = Field(20, ge=1, le=MAX_HITS)
    cursor: Cursor | None = Field(None, description="`cursor` of the page before, with the same question")
    boost_anomaly: float | None = Field(
        None, ge=0, le=10, allow_inf_nan=False, description="how much unusual events move up among the relevant ones"
    )
    model: Token | None = Field(None, description="whose anomaly scores count; default: the type's active model")


class SimilarQuery(_Scope):
    """Events nearest to an event (`key`) or a text; `vector` is what the ingress makes of a text."""

    key: Key | None = None
    text: Words | None = None
    vector: Vector | None = Field(None, description="as penstock.scoring.vectors writes it; with `embedded_by`")
    embedded_by: ModelRef | None = Field(None, description="the model version that made `vector`")
    size: int = Field(20, ge=1, le=MAX_HITS)
    one_per_pattern: bool = Field(False, description="of events with the same pattern only the nearest")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.key is not None) + (self.text is not None) + (self.vector is not None) != 1:
            raise ValueError("give one of `key`, `text` and `vector`")
        if (self.vector is None) != (self.embedded_by is None):
            raise ValueError("`vector` and `embedded_by` belong together")
        return self


class AnomaliesQuery(_Scope):
    """The most unusual events, most unusual first."""

    entity: EntityName | None = None
    filters: list[Filter] = Field([], max_length=32)
    min_score: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    size: int = Field(20, ge=1, le=MAX_HITS)
    cursor: Cursor | None = None
    model: Token | None = None
    one_per_pattern: bool = Field(False, description="of events with the same pattern only the most unusual; no cursor")

    @model_validator(mode="after")
    def _no_cursor_with_patterns(self) -> Self:
        if self.one_per_pattern and self.cursor is not None:
            raise ValueError("`one_per_pattern` has one page only; narrow the time instead")
        return self


class CountQuery(_Scope):
    """How many events, in all and per value of a field or per interval of time."""

    text: Words | None = None
    entity: EntityName | None = None
    filters: list[Filter] = Field([], max_length=32)
    by: FieldName | None = Field(None, description="indexed field that is not full text")
    per: Literal["minute", "hour", "day", "month", "year"] | None = None
    size: int = Field(20, ge=1, le=1000, description="most buckets in the answer")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.by is not None and self.per is not None:
            raise ValueError("give one of `by` and `per`")
        return self


class ModelRef(Reply):
    """One version of a model; vectors and scores of different versions do not compare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Token
    version: int = Field(ge=1)
    feature_schema: str = Field("", alias="schema", max_length=128, description="hash of how events are read")
    digest: str = Field("", max_length=128, description="SHA-256 of the model's files")


class Anomaly(Reply):
    """What a model said of an event."""

    score: float = Field(description="share of what the model saw in training that was less unusual, 0 to 1")
    raw: float | None = None
    pattern: str | None = None
    pattern_id: str | None = None
    model: ModelRef


class Hit(Reply):
    """One event of an answer. `record` is the stored record; it is absent while only the score has arrived."""

    key: str
    type: str
    dataset: str
    time: str
    entity: str
    record: dict[str, Any] | None = None
    score: float | None = Field(None, description="relevance or, in similar, likeness (1 is the same)")
    anomaly: Anomaly | None = Field(None, description="absent while no model has scored the event")
    highlight: dict[str, list[str]] | None = Field(None, description="found words by field, marked with <em>")


class Total(Reply):
    """How many there are; beyond a limit only `at least`."""

    value: int
    relation: Literal["eq", "gte"] = "eq"


class SearchPage(Reply):
    """One page; `cursor` is absent on the last."""

    hits: list[Hit]
    total: Total | None = None
    cursor: str | None = None
    took_ms: float | None = None


class SimilarPage(Reply):
    """Nearest first."""

    hits: list[Hit]
    model: ModelRef | None = Field(None, description="whose vectors were compared")
    took_ms: float | None = None


class AnomaliesPage(SearchPage):
    """Most unusual first."""


class Bucket(Reply):
    """A value (or the beginning of an interval) and its number of events."""

    value: Any
    count: int


class Counts(Reply):
    """`other` is the number of events in no bucket given."""

    total: int
    buckets: list[Bucket] = []
    other: int = 0


# --- store


class GetRecords(Question):
    """The records of these keys."""

    keys: list[Key] = Field(min_length=1, max_length=MAX_KEYS)


class Records(Reply):
    """`records` in the order of the keys; `missing` are not there or not for the caller; `left`: ask again, no room."""

    records: list[dict[str, Any]]
    missing: list[str] = []
    left: list[str] = []


class TimelineQuery(Question):
    """What one entity did in a range of time, newest first."""

    entity: EntityName
    time: TimeRange | None = None
    datasets: Datasets | None = None
    limit: int = Field(100, ge=1, le=MAX_TIMELINE)
    cursor: Cursor | None = None


class TimelineEntry(Reply):
    """One event; `summary` is a line of text about it."""

    key: str
    time: str
    type: str
    dataset: str
    publisher: str = ""
    summary: str = ""
    anomaly: Anomaly | None = Field(
        None, description="score and model only; absent while no model has scored the event"
    )


class TimelinePage(Reply):
    """One page; `cursor` is absent on the last."""

    entity: str
    entries: list[TimelineEntry]
    cursor: str | None = None


class StoreCountQuery(Question):
    """How many events are stored, per dataset and period."""

    datasets: Datasets | None = None
    time: TimeRange | None = None


class StoreCount(Reply):
    """Events and scores of one dataset in one period."""

    dataset: str
    period: str
    events: int
    scores: int = 0


class StoreCounts(Reply):
    """All periods asked for that hold anything."""

    counts: list[StoreCount]


# --- score


class EmbedRequest(Question):
    """A text (as if it were the message of an event of `type`), or the data of such an event."""

    type: TypeName = "log.line.v1"
    text: Words | None = None
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("give one of `text` and `data`")
        return self


class Embedding(Reply):
    """Where the model puts it."""

    vector: Vector
    model: ModelRef
    pattern: str | None = None
    pattern_id: str | None = None


class ModelsQuery(Question):
    """No members."""


class LoadedModel(ModelRef):
    """A model version that a scorer has in memory."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    types: list[str] = []
    active: bool = True


class LoadedModels(Reply):
    """What the scorer that answered has loaded."""

    models: list[LoadedModel]


# --- registry


class RegistryList(Question):
    """All versions, or those of one model."""

    model: Token | None = None


class RegisteredModel(ModelRef):
    """A version in the registry, and whether it scores."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Literal["ready", "active", "retired"] = "ready"
    size: int = Field(0, description="bytes")
    types: list[str] = []
    created_at: str | None = None
    created_by: str | None = None
    activated_at: str | None = None
    activated_by: str | None = None
    manifest: dict[str, Any] | None = Field(None, description="how it was trained, and its figures")


class RegisteredModels(Reply):
    """By name and version."""

    models: list[RegisteredModel]


class UploadChunk(Question):
    """One piece of a model's archive; the last one carries digest and manifest and makes the version."""

    name: Token
    upload: str = Field(pattern="^[0-9a-f]{32}$", description="random, chosen by the sender")
    offset: int = Field(ge=0, description="bytes before this piece")
    data: str = Field(max_length=MAX_CHUNK, description="base64")
    last: bool = False
    digest: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the whole, with `last`")
    manifest: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.last != (self.digest is not None):
            raise ValueError("`digest` comes with the last piece")
        return self


class UploadState(Reply):
    """Bytes received so far; the version once it is complete and verified."""

    upload: str
    received: int
    model: RegisteredModel | None = None


class ActivateModel(Question):
    """Makes a version the one that scores."""

    name: Token
    version: int = Field(ge=1)
    reason: str | None = Field(None, max_length=1024)


# --- answers of the workers to `Prefer: wait`


class StageAnswer(Reply):
    """What a worker sends to the event's `x-reply-to` once its sink has said yes."""

    model_config = ConfigDict(extra="allow")

    stage: Literal["indexed", "stored", "scored"]
    key: str


SimilarQuery.model_rebuild()


# --- the audit trail

MAX_RECORDS = 1000
AuditName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class AuditQuery(Question):
    """Records of the trail, newest first. `time` is when they were stored; without it, the last 24 hours."""

    time: TimeRange | None = None
    identity: AuditName | None = Field(None, description="who did it, or who is concerned")
    action: Token | None = Field(None, description="connect, published, question, dead_letters, admin, sessions, …")
    limit: int = Field(100, ge=1, le=MAX_RECORDS)
    cursor: Cursor | None = None


class AuditEntry(Reply):
    """One record. `digest` is its part in the chain (penstock.audit.hash_chain), of the bytes that the store has."""

    sequence: int
    time: str
    subject: str
    action: str
    digest: str
    record: dict[str, Any] | None = Field(None, description="absent where it is not a JSON object")


class AuditPage(Reply):
    """One page; `cursor` is absent on the last."""

    records: list[AuditEntry]
    cursor: str | None = None
