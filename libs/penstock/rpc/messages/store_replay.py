"""svc.store_replay.*: records of Cassandra on their way to a worker again, page by page."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from penstock.contracts.subjects import PARTITIONS
from penstock.rpc.messages.fields import EntityName, Reply, Request, Time, Token, TypeName

MAX_PAGE = 1000
# Of events the key of the last one read; of scores with its model and version, as an event has several
Place = Annotated[str, StringConstraints(pattern="^[0-9a-f-]{36}(/[a-z][a-z0-9_]*/[0-9]+)?$")]
Period = Annotated[str, StringConstraints(pattern="^[0-9]{4}(-[0-9]{2}){0,2}$")]


class StoredUpTo(Request):
    """A stream of events as it is now: its epoch, and the last of its sequences that a run covers. `first` begins its
    present life: what was stored before the stream was created anew has other sequences, and is covered too."""

    stream: str = Field(min_length=1, max_length=64)
    epoch: int = Field(ge=0)
    first: int = Field(ge=0)
    last: int = Field(ge=0)


class RecordMatch(Request):
    """Which records. `begin` and `end` bound the events' own time: begin inclusive, end exclusive. With `model` and
    `version` the records are the scores of that model version, and otherwise events. `within`: only of these periods
    of an index, all of one length."""

    begin: Time | None = None
    end: Time | None = None
    datasets: list[Token] = Field(default_factory=list, max_length=32)
    types: list[TypeName] = Field(default_factory=list, max_length=100)
    publishers: list[Token] = Field(default_factory=list, max_length=100)
    entity: EntityName | None = None
    model: Token | None = None
    version: int | None = Field(None, ge=1)
    within: list[Period] = Field(default_factory=list, max_length=400)


class FeedPage(Request):
    """Up to `limit` records of one partition behind the place `after`, in the order of keys. With `run` and `target`
    those that match are published to REPLAY; without, they are only counted. `show`: the answer has some of them."""

    period: Period
    pp: int = Field(ge=0, lt=PARTITIONS)
    after: Place | None = None
    limit: int = Field(MAX_PAGE, ge=1, le=MAX_PAGE)
    streams: list[StoredUpTo] = Field(min_length=1, max_length=16)
    match: RecordMatch = RecordMatch()
    run: str = Field("", max_length=64)
    target: str = Field("", max_length=64)
    show: bool = False


class StreamSpan(Reply):
    """Of the records that match: how many are of this stream, and their lowest and highest sequence."""

    stream: str
    count: int
    first: int
    last: int


class FedPage(Reply):
    """`scanned` records were read, up to `last_key`; `end`: the partition holds no more. `matched` of them match, and
    were published if that was asked for. `bytes` are those of their events."""

    scanned: int
    matched: int
    last_key: str | None = None
    end: bool = False
    bytes: int = 0
    streams: list[StreamSpan] = Field(default_factory=list)
    by_type: dict[str, int] = Field(default_factory=dict)
    by_publisher: dict[str, int] = Field(default_factory=dict)
    by_day: dict[str, int] = Field(default_factory=dict, description="UTC day of the events' own time")
    records: dict[str, dict[str, Any]] = Field(default_factory=dict, description="by key, where they were asked for")


class StorePeriods(Request):
    """Which periods of the store a range of the events' own time touches, and hold anything."""

    begin: Time | None = None
    end: Time | None = None


class StoredPeriods(Reply):
    """Oldest first."""

    periods: list[str]
