"""svc.index.mappings and svc.operator.mappings: which mapping each live index was created with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from penstock.rpc.messages.fields import Reply, Request, Token
from penstock.rpc.messages.index import Alias

MAX_MAPPINGS = 50  # indices in an answer
MappingState = Literal["current", "differs", "unknown"]


class ListMappings(Request):
    """The live indices of these datasets and periods, all where none is named, behind the alias `after`."""

    datasets: list[Token] = Field(default_factory=list, max_length=32)
    periods: list[Annotated[str, StringConstraints(pattern="^[0-9]{4}(s|(-[0-9]{2}){0,2})$")]] = Field(
        default_factory=list, max_length=400
    )
    after: Alias | None = None


class MappingChange(Reply):
    """A member of the documents, and how it is mapped; empty: not at all."""

    member: str
    was: str = ""
    now: str = ""


class IndexMapping(Reply):
    """A live index. It `differs` when the mapping that it was created with is not today's, and is `unknown` when it
    does not say which that was. `run`, `rebuild`: the open rebuild of the alias; `run_state`: its run's."""

    alias: str
    index: str
    state: MappingState
    changes: list[MappingChange] = Field(default_factory=list)
    documents: int = 0
    bytes: int = 0
    run: str | None = None
    rebuild: str | None = None
    run_state: str | None = None


class IndexMappings(Reply):
    """In the order of their aliases; `left`: there are more behind the last one."""

    indices: list[IndexMapping]
    left: bool = False
