"""Events → where they are not as their types describe them, each place counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import jsonschema_rs
import orjson

from penstock.contracts import Contracts
from penstock.contracts.wording import pointer


@dataclass(frozen=True, slots=True)
class Drift:
    """A place in the data of a type, and in how many events it differs."""

    type: str
    pointer: str
    detail: str
    count: int


def drift_of(contracts: Contracts, events: Iterable[bytes]) -> list[Drift]:
    """All drift, the most frequent first; what is no event of a type is left out."""
    schemas = {name: jsonschema_rs.Draft202012Validator(dict(each.data)) for name, each in contracts.types.items()}
    found: Counter[tuple[str, str, str]] = Counter()
    for raw in events:
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue
        name = event.get("type") if isinstance(event, dict) else None
        if name in schemas:
            errors = schemas[name].iter_errors(event.get("data"))
            found.update({(name, *place) for error in errors for place in _places(error)})
    return [Drift(*place, count) for place, count in found.most_common()]


def _places(error: jsonschema_rs.ValidationError) -> list[tuple[str, str]]:
    path: list[str | int] = ["data", *("*" if isinstance(step, int) else step for step in error.instance_path)]
    unexpected = getattr(error.kind, "unexpected", None)
    if unexpected:
        return [(pointer([*path, name]), "not described") for name in unexpected]
    described = getattr(error.kind, "types", None)
    return [(pointer(path), f"not {' or '.join(described)}" if described else f"breaks {error.schema_path[-1]}")]
