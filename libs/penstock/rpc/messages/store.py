"""svc.store.*: records, timelines and counts from Cassandra."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from penstock.rpc.messages.fields import Anomaly, Cursor, Datasets, EntityName, Key, Reply, Request, TimeRange

MAX_TIMELINE = 1000
MAX_KEYS = 1000


class GetRecords(Request):
    """The records of these keys."""

    keys: list[Key] = Field(min_length=1, max_length=MAX_KEYS)


class Records(Reply):
    """`records` in the order of the keys; `missing` are not there or not for the caller; `left`: ask again, no room."""

    records: list[dict[str, Any]]
    missing: list[str] = Field(default_factory=list)
    left: list[str] = Field(default_factory=list)


class TimelineQuery(Request):
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


class StoreCountQuery(Request):
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
