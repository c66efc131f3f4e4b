"""A mapping carries what it is made of in its `_meta`: a digest, and its members. An index keeps that of the mapping
that it was created with, by which all of its documents were indexed, also when members are added to it later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import orjson

Json = dict[str, Any]
State = Literal["current", "differs", "unknown"]
META = "penstock"
DIGITS = 12  # of the digest


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A member of the documents, and its mapping as it was and as it is now; empty: not mapped."""

    member: str
    was: str
    now: str


def versioned(mapping: Json) -> Json:
    """The mapping with its `_meta`."""
    return {**mapping, "_meta": {META: {"digest": digest_of(mapping), "members": members_of(mapping)}}}


def digest_of(mapping: Mapping[str, Any]) -> str:
    """Of all but the `_meta`."""
    body = {name: value for name, value in mapping.items() if name != "_meta"}
    return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGITS]


def members_of(mapping: Mapping[str, Any]) -> dict[str, Json]:
    """The mapped members of documents by their paths."""
    return dict(_leaves(mapping, ()))


def compare(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[State, list[MemberChange]]:
    """The mapping of an index with the one that it would be created with now.

    An index of before mappings carried their digest is unknown; its changes are those of its present members, which may
    be less than what its documents were indexed by.
    """
    made_from = found.get("_meta", {}).get(META)
    now = members_of(wanted)
    if not isinstance(made_from, dict):
        # Elasticsearch shows a mapping with its own defaults: only the types can be compared.
        types = {path: {"type": leaf.get("type")} for path, leaf in members_of(found).items()}
        return "unknown", _changes(types, {path: {"type": leaf.get("type")} for path, leaf in now.items()})
    if made_from.get("digest") == digest_of(wanted):
        return "current", []
    return "differs", _changes(made_from.get("members", {}), now)


def _changes(was: Mapping[str, Json], now: Mapping[str, Json]) -> list[MemberChange]:
    paths = [path for path in sorted({*was, *now}) if was.get(path) != now.get(path)]
    return [MemberChange(path, *_texts(was.get(path), now.get(path))) for path in paths]


def _texts(was: Json | None, now: Json | None) -> tuple[str, str]:
    """The types, and everything where the types are equal."""
    if was is not None and now is not None and was.get("type") == now.get("type"):
        return orjson.dumps(was).decode(), orjson.dumps(now).decode()
    return str((was or {}).get("type", "")), str((now or {}).get("type", ""))


def _leaves(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    for name, member in node.get("properties", {}).items():
        if "properties" in member:
            yield from _leaves(member, (*path, name))
        elif member.get("type") != "object":
            yield ".".join((*path, name)), member
