"""event → its pattern, the ids of its categories and its numbers, as its type's contract names them (`score:`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack
from typing import Any

from penstock.contracts import EventType, ScoreInput, dig
from penstock.recent_cache import RecentCache
from penstock.scoring.patterns import Pattern, Patterns, stable, token_id

CATEGORIES = 8  # categorical members of an event that the model sees
NUMBERS = 4  # numeric members
CATEGORY_READ = 256  # characters of a category that count
_BY_CATEGORIES = 3  # an event without text is patterned by its first categories

Getter = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of an event as numbers: token ids, and hashes of path and value; 0 where the type has fewer."""

    tokens: bytes  # CATEGORIES little-endian int32
    values: bytes  # CATEGORIES little-endian int32, 31 bits each
    text: str  # `name=cpu unit=%`: what stands for the pattern of an event without text


def getter(path: str) -> Getter:
    """Reads the member of an event's data that a dotted path names; None where there is none."""
    if "." not in path:
        return lambda data: data.get(path)
    return lambda data: dig(data, path)


class Plan:
    """How one event type is read. `hash` stands for the type and for these choices, so that a model of other choices
    takes the type for an unknown one."""

    def __init__(self, type: str, score: ScoreInput) -> None:
        self.type = type
        self.categories = score.categories[:CATEGORIES]
        self.numbers = score.numbers[:NUMBERS]
        self.hash = stable("|".join((type, *score.text, "", *self.categories, "", *self.numbers)))
        self.number_hashes = tuple(stable(path) for path in self.numbers)
        self.text_getters = tuple(getter(path) for path in score.text)
        self.category_getters = tuple(getter(path) for path in self.categories)
        self.number_getters = tuple(getter(path) for path in self.numbers)


def plan_of(type: EventType) -> Plan:
    """The plan that the contract states, or one made of the indexed members of a type that states none."""
    score = type.score
    if not (score.text or score.categories or score.numbers):
        indexed = type.indexed.items()
        score = ScoreInput(
            text=tuple(path for path, field in indexed if field.kind == "text"),
            categories=tuple(path for path, field in indexed if field.kind in ("keyword", "boolean")),
            numbers=tuple(path for path, field in indexed if field.kind in ("long", "double")),
        )
    return Plan(type.type, score)


class Reader:
    """Reads events by their plans, remembering patterns and categories lately met. One per process and thread."""

    def __init__(self) -> None:
        self._patterns = Patterns()
        self._categories: RecentCache[tuple[Any, ...], Categories] = RecentCache(20_000)
        self._hashes: RecentCache[str, int] = RecentCache(100_000)

    def read(self, plan: Plan, data: dict[str, Any]) -> tuple[Pattern, Categories]:
        """Pattern and categories of one event's data."""
        categories = self.categories(plan, data)
        getters = plan.text_getters
        if len(getters) == 1:
            value = getters[0](data)
            text = value if isinstance(value, str) else ""
        else:
            text = " ".join([value for get in getters if isinstance(value := get(data), str)])
        return self._patterns.read(text or categories.text), categories

    def categories(self, plan: Plan, data: dict[str, Any]) -> Categories:
        """The categories alone."""
        key = (plan.hash, *[_plain(get(data)) for get in plan.category_getters])
        known = self._categories.get(key)
        if known is None:
            known = _categories(plan, key[1:])
            self._categories.put(key, known)
        return known

    def numbers(self, plan: Plan, data: dict[str, Any]) -> list[float | None]:
        """The numbers, None where the event has none."""
        return [float(value) if isinstance(value := get(data), int | float) else None for get in plan.number_getters]

    def hash(self, text: str) -> int:
        """`stable(text)`, remembered: for sources and entities."""
        known = self._hashes.get(text)
        if known is None:
            known = stable(text)
            self._hashes.put(text, known)
        return known


def _plain(value: Any) -> Any:
    """Something hashable for a category's value; True and 1 must not share a place in the memory."""
    if value.__class__ is str:
        return value if len(value) <= CATEGORY_READ else value[:CATEGORY_READ]
    return None if value is None else repr(value)[:CATEGORY_READ]


def _categories(plan: Plan, values: tuple[Any, ...]) -> Categories:
    pairs = [f"{path}:{'' if value is None else value}" for path, value in zip(plan.categories, values, strict=True)]
    given = [pair for pair, value in zip(pairs, values, strict=True) if value is not None]
    tokens = [
        0 if value is None else token_id(_DIGITS.sub("0", pair)) for pair, value in zip(pairs, values, strict=True)
    ]
    hashes = [stable(pair) | 1 for pair in pairs]
    return Categories(
        tokens=pack(f"<{len(tokens)}i", *tokens).ljust(4 * CATEGORIES, b"\0"),
        values=pack(f"<{len(hashes)}i", *hashes).ljust(4 * CATEGORIES, b"\0"),
        text=" ".join(given[:_BY_CATEGORIES]),
    )


_DIGITS = re.compile(r"\d+")
