"""a schema of contracts/ → its validator for JSON as a program has it, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

_LARGEST = 1.7976931348623157e308


def compile_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """The validator, without bounds that every parsed number keeps.

    A schema must bound its numbers, and the widest bounds are those of a double. No parser of ours returns a number
    beyond (`ijson.parse` refuses it), and comparing with each of them costs the validator half a microsecond.
    """
    return jsonschema_rs.Draft202012Validator(_without_bounds_of_doubles(schema))


def _without_bounds_of_doubles(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {
            name: _without_bounds_of_doubles(value)
            for name, value in node.items()
            if (name, value) not in (("minimum", -_LARGEST), ("maximum", _LARGEST))
        }
    if isinstance(node, list | tuple):
        return [_without_bounds_of_doubles(value) for value in node]
    return node
