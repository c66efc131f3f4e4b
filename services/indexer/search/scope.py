"""Where a request may look, and what its fields are called there.

Names of indices are built from datasets of the contracts and from known models only, never from what was asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.contracts import Contracts, EventType, FieldKind
from penstock.errors import Refused
from penstock.rpc.messages import OUTER_FIELDS

Where = Literal["events", "scored"]
_DATA = {"events": "event.data.", "scored": "fields."}
# Scores do not carry these of an event.
_NOT_SCORED = {"@door", "@source", "@id"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a request where it is looked for."""

    path: str
    kind: FieldKind
    search: bool = False
    is_level: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Datasets and types that the asker may read and asked for. `narrowed`: only some types of the datasets."""

    datasets: tuple[str, ...]
    types: tuple[EventType, ...]
    narrowed: bool

    def field(self, name: str, where: Where) -> Field:
        """What a request calls `name`. Raises Refused QUERY_INVALID when nothing in scope has it."""
        if name.startswith("@"):
            if where == "scored" and name in _NOT_SCORED:
                raise Refused("QUERY_INVALID", f"{name} cannot be combined with anomalies; scores do not have it")
            path = OUTER_FIELDS[name] if where == "events" or name != "@type" else "type"
            return Field(path, "date" if name == "@stored_at" else "keyword")
        for event_type in self.types:
            if (indexed := event_type.indexed.get(name)) is not None:
                return Field(_DATA[where] + name, indexed.kind, indexed.search, indexed.compare == "level")
        raise Refused("QUERY_INVALID", f"{name!r} is not an indexed field of {self.names}; /v1/types lists them")

    def searched(self, where: Where) -> dict[str, Field]:
        """The fields that words are looked for in, by their name in a request."""
        return {
            path: Field(_DATA[where] + path, indexed.kind, search=True)
            for event_type in self.types
            for path, indexed in event_type.indexed.items()
            if indexed.search
        }

    @property
    def names(self) -> str:
        """The types, for a message."""
        return ", ".join(event_type.type for event_type in self.types)


def resolve(
    contracts: Contracts,
    allowed: Collection[str],
    datasets: Sequence[str] | None,
    types: Sequence[str] | None,
) -> Scope:
    """What is asked for, within what is allowed. Raises Refused FORBIDDEN or QUERY_INVALID."""
    known = [name for name in contracts.datasets if name in allowed]
    if datasets is not None:
        _all_in(datasets, known, "/datasets")
        known = [name for name in known if name in datasets]
    if types is None:
        chosen = [event_type for event_type in contracts.types.values() if event_type.dataset in known]
    else:
        readable = [name for name, event_type in contracts.types.items() if event_type.dataset in known]
        _all_in(types, readable, "/types")
        chosen = [contracts.types[name] for name in types]
        known = [name for name in known if any(event_type.dataset == name for event_type in chosen)]
    if not known:
        raise Refused("FORBIDDEN", "no dataset is granted to you")
    return Scope(tuple(known), tuple(chosen), types is not None)


def _all_in(asked: Iterable[str], known: Sequence[str], pointer: str) -> None:
    # What does not exist and what is not granted look alike, so that nobody can find out which datasets there are.
    for name in asked:
        if name not in known:
            raise Refused("FORBIDDEN", f"{name!r} is not granted to you", pointer=pointer)
