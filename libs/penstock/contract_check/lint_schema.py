"""What a JSON Schema in a contract must say, so that whatever it accepts can be stored.

Every object is closed unless it is marked `x-open`, every string, array and number is bounded, and only keywords are
used whose change can be judged later (see compatibility.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from penstock.contract_check.finding import Finding
from penstock.contract_check.schema_tree import Schema, resolve, types, walk

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_TEXT = 65_536  # characters of one string; four bytes each are an event
MAX_ITEMS = 10_000
MAX_INTEGER = 2**53 - 1  # RFC 7493: what every JSON reader keeps exactly
KEYWORDS = frozenset(
    {"$schema", "$defs", "$ref", "title", "description", "type", "enum", "const", "x-open"}
    | {"properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"}
    | {"items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum"}
)


def lint_schema(where: str, schema: Schema, member: str = "data", *, open: bool = False) -> Iterator[Finding]:
    """Findings about the schema that is a `member` of a contract; `open`: its root may take unnamed members."""
    if schema.get("$schema") != DIALECT:
        yield Finding(where, "schema-dialect", f"{member}.$schema is not {DIALECT}", f"Write `$schema: {DIALECT}`.")
    if types(schema) != {"object"} or (schema.get("x-open") and not open):
        yield Finding(
            where, "schema-root", f"{member} must be a closed object", "Wrap the value in a member of an object."
        )
    try:
        jsonschema_rs.Draft202012Validator(dict(schema))
    except jsonschema_rs.ValidationError as error:
        yield Finding(where, "schema-invalid", f"{member} is not a JSON Schema: {error.message}", "Correct the schema.")
        return
    for place, node in walk(schema):
        yield from _node(f"{where} {member}{place}", schema, node)


def _node(where: str, root: Schema, written: Schema) -> Iterator[Finding]:
    for keyword in sorted(written.keys() - KEYWORDS):
        yield Finding(
            where,
            "schema-keyword",
            f"the keyword {keyword} is not allowed",
            f"Only these can be judged for compatibility: {', '.join(sorted(KEYWORDS))}.",
        )
    try:
        node = resolve(root, written)
    except KeyError as error:
        yield Finding(where, "schema-reference", f"{error} leads nowhere", "Refer to a member of `$defs`.")
        return
    if not types(node):
        yield Finding(where, "schema-untyped", "no type", "Give `type`, also beside `enum` and `const`.")
    if "enum" in node or "const" in node:
        return
    if "object" in types(node):
        yield from json_object(where, node)
    if "array" in types(node) and not ("items" in node and 0 < node.get("maxItems", 0) <= MAX_ITEMS):
        yield Finding(where, "schema-unbounded", "an array without bound", f"Give items and maxItems <= {MAX_ITEMS}.")
    if "string" in types(node) and not 0 < node.get("maxLength", 0) <= MAX_TEXT:
        yield Finding(where, "schema-unbounded", "a string without bound", f"Give maxLength <= {MAX_TEXT}.")
    if "integer" in types(node) and not _between(node, -MAX_INTEGER, MAX_INTEGER):
        yield Finding(
            where, "schema-unbounded", "an integer without bounds", f"Give minimum and maximum within ±{MAX_INTEGER}."
        )
    if "number" in types(node) and not _between(node, -1.7976931348623157e308, 1.7976931348623157e308):
        yield Finding(where, "schema-unbounded", "a number without bounds", "Give minimum and maximum, finite.")


def _between(node: Schema, least: float, most: float) -> bool:
    low, high = node.get("minimum"), node.get("maximum")
    return low is not None and high is not None and least <= low <= high <= most


def json_object(where: str, node: dict[str, Any]) -> Iterator[Finding]:
    for name in node.get("required", ()):
        if name not in node.get("properties", {}):
            yield Finding(where, "schema-required", f"{name} is required but not described", "Describe it.")
    if not node.get("x-open"):
        if node.get("additionalProperties") is not False:
            yield Finding(
                where,
                "schema-not-closed",
                "an object that takes unknown members",
                "Write `additionalProperties: false`, or `x-open: true` if its members are free.",
            )
        for name in node.get("properties", {}):
            if not name or "." in name or not name.isascii() or not name.isprintable():
                yield Finding(where, "schema-name", f"the member name {name!r}", "Use printable ASCII without dots.")
        return
    names = node.get("propertyNames", {})
    bounded = "pattern" in names and 0 < names.get("maxLength", 0) <= 256
    if not bounded or not 0 < node.get("maxProperties", 0) <= 1000:
        yield Finding(
            where,
            "schema-unbounded",
            "an open object without bounds on its names",
            "Give maxProperties <= 1000, and propertyNames with pattern and maxLength <= 256.",
        )
    if not isinstance(node.get("additionalProperties"), dict):
        yield Finding(
            where, "schema-untyped", "an open object of untyped values", "Give additionalProperties a schema."
        )
