"""Judges the change between two versions of one JSON Schema.

wider            every value taken before is still taken, and means the same: allowed, readers deploy first
narrower         a value taken before is now refused: breaking, senders must stop sending it first
looser           what readers could rely on is no longer so: breaking, readers must cope first
unclear          cannot be proven to be any of these: treated as breaking
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contract_check.schema_tree import Schema, resolve

Verdict = Literal["wider", "narrower", "looser", "unclear"]

_UPPER = ("maxLength", "maxItems", "maxProperties", "maximum")
_LOWER = ("minLength", "minItems", "minProperties", "minimum")
_WORDS = {"title", "description", "$defs"}
_JUDGED = {"type", "enum", "pattern", "required", "properties", "items", "additionalProperties", "propertyNames"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, at a member of the data ("" is the whole)."""

    where: str
    verdict: Verdict
    what: str


def schema_changes(before: Schema, after: Schema) -> Iterator[Change]:
    """All differences between two schemas that matter to anybody."""
    yield from _Comparison(before, after).nodes("", before, after)


class _Comparison:
    def __init__(self, before: Schema, after: Schema) -> None:
        self._before, self._after = before, after
        self._compared: set[tuple[str, str]] = set()

    def nodes(self, where: str, before: Schema, after: Schema) -> Iterator[Change]:
        """Differences between two nodes and all below them; a pair of definitions is compared once."""
        if "$ref" in before or "$ref" in after:
            pair = (repr(sorted(before.items(), key=repr)), repr(sorted(after.items(), key=repr)))
            if pair in self._compared:
                return
            self._compared.add(pair)
        old, new = resolve(self._before, before), resolve(self._after, after)
        yield from _types(where, old, new)
        yield from _enum(where, old, new)
        yield from _limits(where, old, new)
        yield from _pattern(where, old, new)
        yield from _required(where, old, new)
        yield from self._members(where, old, new)
        yield from self._child(where, "items", old, new)
        yield from self._child(where, "additionalProperties", old, new)
        yield from self._child(where, "propertyNames", old, new)
        for keyword in sorted((old.keys() | new.keys()) - _JUDGED - _WORDS - {*_UPPER, *_LOWER}):
            if old.get(keyword) != new.get(keyword):
                yield Change(where, "unclear", f"{keyword} changed")

    def _members(self, where: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in sorted(before.keys() | after.keys()):
            place = f"{where}.{name}" if where else name
            if name not in after:
                yield Change(place, "narrower", "the member is gone")
            elif name in before:
                yield from self.nodes(place, before[name], after[name])
            elif old.get("additionalProperties") is False:
                yield Change(place, "wider", "a new member")
            else:
                yield Change(place, "unclear", "a free member is described now")

    def _child(self, where: str, keyword: str, old: Schema, new: Schema) -> Iterator[Change]:
        before, after = old.get(keyword), new.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.nodes(f"{where}[{keyword}]" if keyword != "items" else f"{where}[]", before, after)
        elif before != after:
            verdict: Verdict = "narrower" if after is False or before is None else "unclear"
            yield Change(where, verdict, f"{keyword} changed")


def _types(where: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = _set(old.get("type")), _set(new.get("type"))
    if before - after:
        yield Change(where, "narrower", f"no longer {' or '.join(sorted(before - after))}")
    if after - before:
        yield Change(where, "looser", f"may be {' or '.join(sorted(after - before))} now")


def _enum(where: str, old: Schema, new: Schema) -> Iterator[Change]:
    if old.get("enum") == new.get("enum"):
        return
    if "enum" not in old:
        yield Change(where, "narrower", "only listed values are taken now")
    elif "enum" not in new:
        yield Change(where, "looser", "any value is taken now")
    else:
        gone = [value for value in old["enum"] if value not in new["enum"]]
        if gone:
            yield Change(where, "narrower", f"{gone} no longer taken")
        elif len(new["enum"]) > len(old["enum"]):
            yield Change(where, "wider", "more values are taken")


def _limits(where: str, old: Schema, new: Schema) -> Iterator[Change]:
    for keyword in (*_UPPER, *_LOWER):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        if after is None:
            yield Change(where, "looser", f"{keyword} is gone")
        elif before is None or (after < before) == (keyword in _UPPER):
            yield Change(where, "narrower", f"{keyword} is {after}, was {'free' if before is None else before}")
        else:
            yield Change(where, "wider", f"{keyword} is {after}, was {before}")


def _pattern(where: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = old.get("pattern"), new.get("pattern")
    if before == after:
        return
    verdict: Verdict = "narrower" if before is None else "looser" if after is None else "unclear"
    yield Change(where, verdict, "the pattern changed")


def _required(where: str, old: Schema, new: Schema) -> Iterator[Change]:
    before, after = _set(old.get("required")), _set(new.get("required"))
    for name in sorted(after - before):
        yield Change(where, "narrower", f"{name} is required now")
    for name in sorted(before - after):
        yield Change(where, "looser", f"{name} may be missing now")


def _set(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value or ())
