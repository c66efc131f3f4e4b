"""Hypothesis strategies: whatever an event type's schema takes, odd values first, and odd ways to write it as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from penstock.contract_check.schema_tree import resolve, types
from penstock.contracts import EventType
from penstock.contracts.drift import OWN_NAMES

MAX_DEPTH = 4  # of open objects; deeper ones are among the examples
ANY_CHARACTER = st.characters(exclude_categories=["Cs"])
NO_CONTROL = st.characters(exclude_categories=["Cs", "Cc"])
PLAIN = st.sampled_from("abcXYZ019_")
ODD = [
    "\x00",
    "𝄞",
    "\ufffe\uffff",
    "\u202e\u2028",
    "é\u0301" * 8,
    '"\\/',
    "\r\n\t",
    "é",
    "{}",
    "NaN",
    "a..b",
    ".",
    "_id",
]


def events(event_type: EventType) -> st.SearchStrategy[bytes]:
    """Events of the type as bytes; the check must take each of them."""
    root = event_type.kept_data
    attribute = st.text(NO_CONTROL, min_size=1, max_size=40) | st.sampled_from(["𝄞" * 256, "/", "\ufeff", "Ⅷ"])
    envelope = st.fixed_dictionaries(
        {
            "specversion": st.just("1.0"),
            "id": attribute | st.uuids().map(str),
            "source": attribute,
            "type": st.just(event_type.type),
            "subject": attribute,
            "time": st.sampled_from(
                ["2026-10-31T23:59:59.999999999Z", "2026-10-01T00:00:00+02:00", "2026-11-01T12:59:59.9-00:00"]
            ),
            "data": _value(root, root, 0),
        },
        optional={"datacontenttype": st.just("application/json"), "dataschema": attribute},
    )
    return st.builds(_written, envelope, st.booleans(), st.sampled_from([None, 0, "\t"]))


def _written(event: Any, escaped: bool, indent: int | str | None) -> bytes:
    return json.dumps(event, ensure_ascii=escaped, indent=indent, allow_nan=False).encode()


def _value(root: Mapping[str, Any], written: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
    node = resolve(root, written)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    kinds = sorted(types(node))
    if depth >= MAX_DEPTH and node.get("x-open"):
        kinds = [kind for kind in kinds if kind not in ("array", "object")] or kinds
    made = [_OF_TYPE[kind](root, node, depth) for kind in kinds]
    if "null" in node.get("type", ()):
        made.append(st.none())
    return st.one_of(made)


def _string(root: Mapping[str, Any], node: Mapping[str, Any], depth: int) -> st.SearchStrategy[str]:
    most, least = node["maxLength"], node.get("minLength", 0)
    if "pattern" in node:
        return _pattern(node["pattern"], most)
    longest = min(most, 9000)  # an event holds 256 KiB
    long = st.sampled_from(["x", "𝄞", "漢", "a "]).map(lambda unit: (unit * longest)[:longest])
    odd = st.sampled_from([text for text in ODD if least <= len(text) <= most])
    return st.text(ANY_CHARACTER, min_size=least, max_size=min(most, 30)) | odd | long


def _pattern(pattern: str, most: int) -> st.SearchStrategy[str]:
    if pattern == r"^[^\p{Cc}]+$":
        return st.text(NO_CONTROL, min_size=1, max_size=min(most, 20)) | st.sampled_from(["𝄞" * most, ".", " ", "a..b"])
    if pattern == OWN_NAMES:
        plain = st.text(NO_CONTROL.filter(lambda each: each != "."), min_size=1, max_size=min(most, 20))
        return plain.filter(lambda name: name.strip() != "") | st.sampled_from(["𝄞" * most, "_id", "\u00a0a "])
    return st.from_regex(pattern.removesuffix("$") + r"\Z", alphabet=st.characters(max_codepoint=127)).filter(
        lambda text: len(text) <= most
    )


def _number(root: Mapping[str, Any], node: Mapping[str, Any], depth: int) -> st.SearchStrategy[float]:
    low, high = node["minimum"], node["maximum"]
    return (
        st.floats(low, high, allow_nan=False)
        | st.sampled_from([low, high])
        | st.integers(max(low, -(2**70)), min(high, 2**70))
    )


def _integer(root: Mapping[str, Any], node: Mapping[str, Any], depth: int) -> st.SearchStrategy[float]:
    whole = st.integers(node["minimum"], node["maximum"]) | st.sampled_from([node["minimum"], node["maximum"]])
    return whole | whole.map(float).filter(lambda number: number <= node["maximum"])  # 1.0 is an integer too


def _array(root: Mapping[str, Any], node: Mapping[str, Any], depth: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(_value(root, node["items"], depth + 1), max_size=min(node["maxItems"], 3))


def json_object(root: Mapping[str, Any], node: Mapping[str, Any], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    if node.get("x-open"):
        names = _pattern(node["propertyNames"]["pattern"], node["propertyNames"]["maxLength"])
        return st.dictionaries(names, _value(root, node["additionalProperties"], depth + 1), max_size=3)
    members = {name: _value(root, child, depth) for name, child in node["properties"].items()}
    required = set(node.get("required", ()))
    described = st.fixed_dictionaries(
        {name: value for name, value in members.items() if name in required},
        optional={name: value for name, value in members.items() if name not in required},
    )
    if not isinstance(node.get("additionalProperties"), Mapping):
        return described
    names = _pattern(node["propertyNames"]["pattern"], node["propertyNames"]["maxLength"])
    more = st.dictionaries(names, _value(root, node["additionalProperties"], depth + 1), max_size=2)
    return st.builds(lambda unknown, known: unknown | known, more.map(lambda each: _unknown(each, members)), described)


def _unknown(found: dict[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in described}


_OF_TYPE = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda *_: st.booleans(),
    "array": _array,
    "object": json_object,
}
