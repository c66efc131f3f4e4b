"""svc.operator.reconcile, svc.index.count, svc.store_replay.count: what was accepted, and what stores hold of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from penstock.contracts.subjects import PARTITIONS
from penstock.rpc.messages.fields import Key, Reply, Request, Time, Token
from penstock.rpc.messages.store_replay import Period

MAX_COUNTED = 5000  # rows of a page
MAX_PERIODS = 4000  # of one dataset

Per = Literal["day", "hour"]
PERIOD_CHARACTERS: Mapping[Per, int] = {"day": 10, "hour": 13}  # of an RFC 3339 time, which name the period
Label = Annotated[str, StringConstraints(max_length=13)]  # 2026-11-29, or 2026-11-29T13


class CountHeld(Request):
    """Events whose own time is from `begin` (inclusive) to `end` (exclusive), by day or hour of it, UTC; and how many
    of them were accepted from `since` to `until`."""

    begin: Time
    end: Time
    since: Time
    until: Time
    per: Per = "day"


class CountIndexed(CountHeld):
    """In the index of one dataset."""

    dataset: Token


class CountStored(CountHeld):
    """On one page of a partition of the store, behind the key `after`."""

    period: Period
    pp: int = Field(ge=0, lt=PARTITIONS)
    after: Key | None = None
    limit: int = Field(MAX_COUNTED, ge=1, le=MAX_COUNTED)


class HeldCount(Reply):
    """Of one dataset and period: events accepted between the two times, and those accepted before."""

    dataset: str
    period: str
    held: int
    older: int


class HeldCounts(Reply):
    """`after`: the last key of the page; `end`: the partition holds no more between the times."""

    counts: list[HeldCount]
    after: str | None = None
    end: bool = True


class Reconcile(Request):
    """What is compared: events whose own time is from `begin` (inclusive) to `end` (exclusive)."""

    begin: Time
    end: Time
    datasets: list[Token] = Field(default_factory=list, max_length=32, description="none: all")
    per: Per = "day"


class StoreDifference(Reply):
    """What one store has of a dataset and period. `held`: of the accepted ones; `dead_letters`: accepted ones that its
    worker refused; `missing` and `extra`: what neither explains; `in_flight`: its worker is not there yet."""

    held: int = 0
    dead_letters: int = 0
    older: int = Field(0, description="accepted before what the streams hold")
    missing: int = 0
    extra: int = 0
    in_flight: bool = False


class Reconciled(Reply):
    """One dataset and period. `accepted`: different events that the streams hold; `repeated`: messages beyond them,
    each an event that was accepted again."""

    dataset: str
    period: Label
    accepted: int
    repeated: int
    first_stored: str = Field("", description="when the first of them was accepted, RFC 3339")
    indexed: StoreDifference
    stored: StoreDifference
    next: list[str] = Field(default_factory=list, description="the commands that bring back what is missing")

    @property
    def differs(self) -> bool:
        """Whether anything is missing or too much that is not on its way."""
        return any((each.missing or each.extra) and not each.in_flight for each in (self.indexed, self.stored))


class Reconciliation(Reply):
    """`since`: what was accepted before is not on the streams any more, and only the stores are compared for it."""

    since: str
    until: str
    unreadable: int = Field(0, description="messages of the streams that are no events")
    rows: list[Reconciled]
