"""Judges the change between two versions of one record type: its readers are programs that we do not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.contract_check.schema_change import Change, schema_changes

_SCHEMAS = ("headers", "payload")
_FREE = {"meaning", "owner", "examples"}


def record_changes(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[Change]:
    """All differences that matter to a reader or a writer."""
    if new is None:
        yield Change("", "narrower", "the record type is gone")
        return
    for part in _SCHEMAS:
        before, after = old.get(part), new.get(part)
        if before is not None and after is not None:
            for change in schema_changes(before, after):
                yield Change(f"{part}.{change.where}".rstrip("."), change.verdict, change.what)
        elif before != after:
            yield Change(part, "unclear", f"{part} {'described' if before is None else 'no longer described'}")
    if new.get("status", "released") != "released":
        yield Change("status", "unclear", "a released record type is a draft again")
    for name in sorted(_patterns(old).keys() | _patterns(new).keys()):
        if _patterns(old).get(name) != _patterns(new).get(name):
            yield Change(f"parameters.{name}", "unclear", "the pattern changed")
    for member in sorted((old.keys() | new.keys()) - {*_SCHEMAS, *_FREE, "status", "parameters"}):
        if old.get(member) != new.get(member):
            yield Change(member, "unclear", f"{new.get(member)!r}, was {old.get(member)!r}")


def _patterns(record: Mapping[str, Any]) -> dict[str, str]:
    return {name: each["pattern"] for name, each in record.get("parameters", {}).items()}
