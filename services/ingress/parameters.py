"""Query parameters of the GET paths → the questions they stand for."""

from __future__ import annotations

from pydantic import Field

from penstock.questions import (
    MAX_HITS,
    MAX_TIMELINE,
    AnomaliesQuery,
    Cursor,
    EntityName,
    Question,
    Time,
    TimelineQuery,
    TimeRange,
    Token,
    TypeName,
)


class _Scope(Question):
    dataset: list[Token] = Field([], max_length=32, description="look only here; may be given several times")
    from_: Time | None = Field(None, alias="from", description="of the event's time, inclusive")
    to: Time | None = Field(None, description="of the event's time, exclusive")
    cursor: Cursor | None = Field(None, description="`cursor` of the page before")

    def time(self) -> TimeRange | None:
        """The range of time, if any bound is given."""
        return TimeRange(from_=self.from_, to=self.to) if self.from_ or self.to else None


class TimelineParameters(_Scope):
    """What one entity did."""

    entity: EntityName = Field(description="host, service, session, … as the event's `subject` names it")
    limit: int = Field(100, ge=1, le=MAX_TIMELINE)

    def question(self) -> TimelineQuery:
        """The question."""
        return TimelineQuery(
            entity=self.entity,
            time=self.time(),
            datasets=self.dataset or None,
            limit=self.limit,
            cursor=self.cursor,
        )


class AnomaliesParameters(_Scope):
    """The most unusual events."""

    type: list[TypeName] = Field([], max_length=32, description="only these types; may be given several times")
    entity: EntityName | None = None
    min_score: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    size: int = Field(20, ge=1, le=MAX_HITS)
    model: Token | None = None
    one_per_pattern: bool = False

    def question(self) -> AnomaliesQuery:
        """The question."""
        return AnomaliesQuery(
            datasets=self.dataset or None,
            types=self.type or None,
            time=self.time(),
            entity=self.entity,
            min_score=self.min_score,
            size=self.size,
            cursor=self.cursor,
            model=self.model,
            one_per_pattern=self.one_per_pattern,
        )


class TailParameters(Question):
    """Which events to follow."""

    dataset: list[Token] = Field([], max_length=32)
    type: list[TypeName] = Field([], max_length=32)
    entity: EntityName | None = None
