"""JSON Schema as a tree: resolve references, follow a dotted path, visit every node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.contracts.wording import pointer

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A schema node, references resolved. `open` and `repeated` say whether an open object or an array lies above."""

    node: Schema
    open: bool
    repeated: bool


def resolve(root: Schema, node: Schema) -> dict[str, Any]:
    """The node with what its `$ref` into `$defs` points at; the node's own keywords win.

    Raises KeyError when the reference leads nowhere.
    """
    seen = dict(node)
    while "$ref" in seen:
        reference = seen.pop("$ref")
        if not reference.startswith("#/$defs/"):
            raise KeyError(reference)
        seen = {**root["$defs"][reference.removeprefix("#/$defs/")], **seen}
    return seen


def types(node: Schema) -> frozenset[str]:
    """The JSON types that a resolved node allows, without null."""
    declared = node.get("type", [])
    return frozenset([declared] if isinstance(declared, str) else declared) - {"null"}


def at(root: Schema, path: str) -> Place | None:
    """The node that a dotted path of member names leads to, arrays stepped through; None when there is none."""
    node, is_open, repeated = resolve(root, root), False, False
    for name in path.split("."):
        while "array" in types(node) and "items" in node and not is_open:
            node, repeated = resolve(root, node["items"]), True
        is_open = is_open or bool(node.get("x-open"))
        if name not in node.get("properties", {}):
            return None
        node = resolve(root, node["properties"][name])
    while types(node) == {"array"} and "items" in node:
        node, repeated = resolve(root, node["items"]), True
    return Place(node, is_open, repeated)


def walk(root: Schema) -> Iterator[tuple[str, Schema]]:
    """Every schema of the document with its JSON pointer, as it is written (references not resolved)."""
    yield from _walk(root, [])


def _walk(node: Schema, path: list[str | int]) -> Iterator[tuple[str, Schema]]:
    yield pointer(path), node
    for name, child in node.get("$defs", {}).items():
        yield from _walk(child, [*path, "$defs", name])
    for name, child in node.get("properties", {}).items():
        yield from _walk(child, [*path, "properties", name])
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), Mapping):
            yield from _walk(node[keyword], [*path, keyword])
