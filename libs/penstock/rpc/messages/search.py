"""svc.search.*: events by words, likeness and anomaly, and their numbers.

A request is checked twice: at the ingress, and again by the worker that answers. Unknown members are refused in
requests; a reply may grow members that an older caller ignores. Which datasets a caller may read is not said here:
it comes with the request from the server (rpc.caller), and `datasets` can only narrow it.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.rpc.messages.fields import (
    Anomaly,
    Cursor,
    EntityName,
    FieldName,
    Filter,
    Key,
    ModelRef,
    Reply,
    Scope,
    Token,
    Words,
)

MAX_HITS = 100


# --- search


class SearchQuery(Scope):
    """Events by words, conditions, time and order."""

    text: Words | None = Field(None, description='words to find: all must be there; "quoted phrase", -without')
    entity: EntityName | None = None
    filters: list[Filter] = Field([], max_length=32)
    sort: Literal["time", "relevance", "anomaly"] | None = Field(
        None, description="default: relevance with text, else time"
    )
    order: Literal["asc", "desc"] = "desc"
    size: int = Field(20, ge=1, le=MAX_HITS)
    cursor: Cursor | None = Field(None, description="`cursor` of the page before, with the same request")
    boost_anomaly: float | None = Field(
        None, ge=0, le=10, allow_inf_nan=False, description="how much unusual events move up among the relevant ones"
    )
    model: Token | None = Field(None, description="whose anomaly scores count; default: the type's active model")


class SimilarQuery(Scope):
    """Events nearest to an event (`key`) or to a text."""

    key: Key | None = None
    text: Words | None = Field(
        None, description="read as the message of an event: of the type in scope with the fewest text members"
    )
    size: int = Field(20, ge=1, le=MAX_HITS)
    one_per_pattern: bool = Field(False, description="of events with the same pattern only the nearest")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.key is None) == (self.text is None):
            raise ValueError("give one of `key` and `text`")
        return self


class AnomaliesQuery(Scope):
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


class CountQuery(Scope):
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
    buckets: list[Bucket] = Field(default_factory=list)
    other: int = 0


# --- store


# --- score


# --- registry


# --- answers of the workers to `Prefer: wait`


class StageAnswer(Reply):
    """What a worker sends to the event's `x-reply-to` once its sink has said yes."""

    model_config = ConfigDict(extra="allow")

    stage: Literal["indexed", "stored", "scored"]
    key: str


SimilarQuery.model_rebuild()


# --- the audit trail
