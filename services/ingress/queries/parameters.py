"""Query parameters of the GET paths → the requests they stand for."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from penstock.rpc.messages import (
    MAX_HITS,
    MAX_TIMELINE,
    AnomaliesQuery,
    Cursor,
    EntityName,
    Request,
    Time,
    TimelineQuery,
    Token,
    TypeName,
)


def _with_plus(value: Any) -> Any:
    return _BLANK_ZONE.sub(r"+\1", value) if isinstance(value, str) else value


_BLANK_ZONE = re.compile(r" (\d\d:\d\d)\Z")
# In a query, + stands for a blank; nobody means a blank before the zone of a time.
QueryTime = Annotated[Time, BeforeValidator(_with_plus)]


class Scope(Request):
    dataset: list[Token] = Field([], max_length=32, description="only these datasets; repeatable")
    from_: QueryTime | None = Field(None, alias="from", description="earliest event time, inclusive")
    to: QueryTime | None = Field(None, description="latest event time, exclusive")
    cursor: Cursor | None = Field(None, description="`cursor` of the previous page")

    def scope(self) -> dict[str, Any]:
        """The members that all requests share, as far as they are given."""
        time = {name: bound for name, bound in (("from", self.from_), ("to", self.to)) if bound is not None}
        members = {"datasets": self.dataset, "time": time, "cursor": self.cursor}
        return {name: member for name, member in members.items() if member}


class TimelineParameters(Scope):
    """What one entity did."""

    entity: EntityName = Field(description="host, service, session, … as the event's `subject` names it")
    limit: int = Field(100, ge=1, le=MAX_TIMELINE)

    def query(self) -> TimelineQuery:
        """The request. Raises Refused QUERY_INVALID when its members do not fit each other."""
        return TimelineQuery.read({**self.scope(), "entity": self.entity, "limit": self.limit})


class AnomaliesParameters(Scope):
    """The most unusual events."""

    type: list[TypeName] = Field([], max_length=32, description="only these types; repeatable")
    entity: EntityName | None = None
    min_score: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    size: int = Field(20, ge=1, le=MAX_HITS)
    model: Token | None = None
    one_per_pattern: bool = False

    def query(self) -> AnomaliesQuery:
        """The request. Raises Refused QUERY_INVALID when its members do not fit each other."""
        own = self.model_dump(include={"entity", "min_score", "size", "model", "one_per_pattern"})
        return AnomaliesQuery.read({**self.scope(), **own, "types": self.type or None})


class TailParameters(Request):
    """Which events to follow."""

    dataset: list[Token] = Field([], max_length=32)
    type: list[TypeName] = Field([], max_length=32)
    entity: EntityName | None = None
