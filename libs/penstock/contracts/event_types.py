"""Types of contracts/events: an event type, its entity, its searched fields and what is scored of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from penstock.contracts import drift
from penstock.contracts.data import Data

FieldKind = Literal["text", "keyword", "long", "double", "boolean", "date", "ip", "geo_point"]


class Indexed(Data):
    """One member of an event's data that can be searched, filtered or sorted by."""

    kind: FieldKind = Field(alias="as")
    search: bool = Field(False, description="full-text queries look here")
    compare: Literal["exact", "level"] = Field("exact", description="level: without case, and with all usual spellings")


class TimeBounds(Data):
    """How far from the moment of storing an event's own time may lie."""

    past: timedelta
    future: timedelta


class Entity(Data):
    """What the CloudEvents `subject` of this type names: the unit of order."""

    meaning: str
    required: bool = False


class ScoreInput(Data):
    """The members of the data that the model reads."""

    text: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


class EventType(Data):
    """One released version of an event type (contracts/events/<type>.yaml)."""

    type: str
    meaning: str
    owner: str
    status: Literal["draft", "released"] = "released"
    dataset: str
    entity: Entity
    time: TimeBounds
    retention: timedelta
    pii: tuple[str, ...] = ()
    drift: Literal["refused", "kept"] = "refused"
    indexed: Mapping[str, Indexed]
    score: ScoreInput = ScoreInput()
    examples: tuple[str, ...] = ()
    data: Mapping[str, Any]

    @cached_property
    def name(self) -> str:
        """The type without its version, e.g. `log.line`."""
        return self.type.rpartition(".v")[0]

    @cached_property
    def version(self) -> int:
        """The version, e.g. 1."""
        return int(self.type.rpartition(".v")[2])

    @cached_property
    def past_ns(self) -> int:
        """The bound into the past, in nanoseconds."""
        return self.time.past // timedelta(microseconds=1) * 1000

    @cached_property
    def future_ns(self) -> int:
        """The bound into the future, in nanoseconds."""
        return self.time.future // timedelta(microseconds=1) * 1000

    @cached_property
    def kept_data(self) -> Mapping[str, Any]:
        """The schema of the data that are accepted: `data`, and what `drift` keeps beyond it."""
        return drift.lenient(self.data) if self.drift == "kept" else self.data

    @cached_property
    def search_paths(self) -> tuple[str, ...]:
        """Paths in the data that full-text queries search."""
        return tuple(path for path, field in self.indexed.items() if field.search)

    @cached_property
    def indexed_paths(self) -> tuple[tuple[str, ...], tuple[tuple[str, str, tuple[str, ...]], ...]]:
        """Paths of indexed members of the data itself, and of those that lie deeper, each cut at its dots."""
        plain = tuple(path for path in self.indexed if "." not in path)
        cut = ((path, *path.split(".")) for path in self.indexed if "." in path)
        return plain, tuple((path, first, tuple(rest)) for path, first, *rest in cut)
