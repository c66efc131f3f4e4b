"""What a type's data may become when its writers change: the schema that keeps it, and where it differs.

A type with `drift: kept` describes its data as they are known. Beyond that it takes, unindexed, members that are not
described, null for what may be absent, and another scalar where a text or a truth value is described, so that a record
which its provider made larger is not lost. What an index could not take stays refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

OPEN = "kept_as_it_is"  # the name under $defs
MOST_MEMBERS = 500
MOST_CHARACTERS = 65_536
MOST_OF_A_NAME = 4_000  # characters that an index of exact values takes, whatever they are
_LARGEST = 1.7976931348623157e308
_BOUNDS = {"maxLength": MOST_CHARACTERS, "minimum": -_LARGEST, "maximum": _LARGEST}
_NAMES = {"pattern": r"^[^\p{Cc}]+$", "maxLength": 256}
# Elasticsearch takes dots for levels, and knows no name of blanks alone.
OWN_NAMES = r"^[^\p{Cc}.]*[^\p{Cc}.\s][^\p{Cc}.]*$"
_ANYTHING: Json = {
    "x-open": True,
    "type": ["object", "array", "string", "number", "boolean", "null"],
    **_BOUNDS,
    "maxItems": 2000,
    "items": {"$ref": f"#/$defs/{OPEN}"},
    "maxProperties": MOST_MEMBERS,
    "propertyNames": _NAMES,
    "additionalProperties": {"$ref": f"#/$defs/{OPEN}"},
}


def lenient(data: Mapping[str, Any]) -> Json:
    """The schema of all data that are kept."""
    return {**_kept(data, required=True), "$defs": {**data.get("$defs", {}), OPEN: _ANYTHING}}


def _kept(node: Mapping[str, Any], *, required: bool) -> Json:
    """The node, taking more; one that is `required` keeps its type."""
    if "$ref" in node or "enum" in node or "const" in node:
        return dict(node)
    match node.get("type"):
        case _ if node.get("x-open"):
            found: Json = dict(node)
        case "object":
            needed = node.get("required", ())
            members = {name: _kept(each, required=name in needed) for name, each in node.get("properties", {}).items()}
            more = {
                "additionalProperties": {"$ref": f"#/$defs/{OPEN}"},
                "propertyNames": {"pattern": OWN_NAMES, "maxLength": 256},
            }
            found = {**node, **more, "properties": members, "maxProperties": MOST_MEMBERS}
        case "array":
            found = {**node, "items": _kept(node["items"], required=True)}
        case "boolean" if not required:
            return {"enum": [True, False, "true", "false", None]}
        case "string" | ["string", "null"] if not required:
            most = max(node["maxLength"], MOST_OF_A_NAME)
            return {"type": ["string", "number", "boolean", "null"], **_BOUNDS, "maxLength": most}
        case _:
            found = dict(node)
    kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return found if required or "null" in kinds else {**found, "type": [*kinds, "null"]}
