"""svc.index.*: the indices of one period, one generation after another; only an indexer writes to Elasticsearch.

svc.tables.*: the two tables of a name, of which one is live, by the same requests; only a writer writes to Cassandra.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from penstock.contracts.subjects import PARTITIONS
from penstock.rpc.messages.fields import Key, Reply, Request, Time

MAX_CHECKED = 100
MAX_MEMBERS = 400  # periods that share an index: the days of a year, the months of a decade
_ALIAS = "(events|scored)-[a-z0-9_]+(-[a-z0-9_]+)?-[0-9]{4}(s|(-[0-9]{2}){0,2})"
_INDEX = "(events|scored)-[a-z0-9_-]+-g[1-9][0-9]*"
Alias = Annotated[str, StringConstraints(pattern=f"^({_ALIAS}|table-(events|timeline))$")]
Index = Annotated[str, StringConstraints(pattern=f"^({_INDEX}|(events|timeline)(_b)?)$", max_length=255)]


class IndexRef(Request):
    """The indices of one write alias, like events-logs-2026, or the tables of a name, like table-timeline."""

    alias: Alias


class ChangeIndex(IndexRef):
    """A change of them. The worker refuses it when the document of the rebuild is not at `revision` any more."""

    revision: int = Field(ge=0, description="of the rebuild in the bucket `replays`; 0: there is none")


class IndexTarget(ChangeIndex):
    """A change of one of them. `members`: where periods share it, the write aliases of all of them."""

    index: Index
    members: list[Alias] = Field(default_factory=list, max_length=MAX_MEMBERS)


class StreamEnd(Request):
    """A place in a stream of events, and when the message there was stored, or an earlier time."""

    stream: str = Field(min_length=1, max_length=64)
    last: int = Field(ge=0)
    stored_at: Time


class CheckIndex(IndexRef):
    """The index beside the live one: how much it holds, how much of that is of events behind these ends, and its
    documents of these keys."""

    keys: list[Key] = Field(default_factory=list, max_length=MAX_CHECKED)
    ends: list[StreamEnd] = Field(default_factory=list, max_length=16)


class Indices(Reply):
    """`live` is behind the alias, `beside` is kept current with it; `all` are there. `members`: write aliases of the
    past periods that share the index; `shared`: the alias of the index that a single period shares."""

    alias: str
    all: list[str]
    live: str | None = None
    beside: str | None = None
    members: list[str] = Field(default_factory=list)
    shared: str = ""


class CheckedIndex(Reply):
    """Documents in all, those `behind` the ends, and those that were found by key. Of a table: the records of the keys
    that it has rightly."""

    count: int
    behind: int = 0
    documents: dict[str, dict[str, Any]] = Field(default_factory=dict)


class CountTable(IndexRef):
    """A page of one partition of the table beside the live one, behind the place `after`."""

    period: Annotated[str, StringConstraints(pattern="^[0-9]{4}(-[0-9]{2}){0,2}$")]
    pp: int = Field(ge=0, lt=PARTITIONS)
    after: Annotated[str, StringConstraints(max_length=2048)] | None = None
    records: bool = Field(False, description="count the records of the live table `events` instead")


class TableCount(Reply):
    """Rows of the page; `end`: the partition holds no more."""

    count: int
    after: str | None = None
    end: bool = False
