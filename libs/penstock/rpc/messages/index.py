"""svc.index.*: the indices of one period, one generation after another; only an indexer writes to Elasticsearch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from penstock.rpc.messages.fields import Key, Reply, Request

MAX_CHECKED = 100
Alias = Annotated[str, StringConstraints(pattern="^(events|scored)-[a-z0-9_]+(-[a-z0-9_]+)?-[0-9]{4}(-[0-9]{2}){0,2}$")]
Index = Annotated[str, StringConstraints(pattern="^(events|scored)-[a-z0-9_-]+-g[1-9][0-9]*$", max_length=255)]


class IndexRef(Request):
    """The indices of one write alias, like events-logs-2026."""

    alias: Alias


class IndexTarget(IndexRef):
    """One of them."""

    index: Index


class CheckIndex(IndexRef):
    """The index beside the live one: how much it holds, and its documents of these keys."""

    keys: list[Key] = Field(default_factory=list, max_length=MAX_CHECKED)


class Indices(Reply):
    """`live` is behind the alias, `beside` is kept current with it; `all` are there."""

    alias: str
    all: list[str]
    live: str | None = None
    beside: str | None = None


class CheckedIndex(Reply):
    """Documents in all, and those that were found by key."""

    count: int
    documents: dict[str, dict[str, Any]] = Field(default_factory=dict)
