"""Validators judge parsed JSON as the schemas in contracts/ do, to the letter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest

from penstock.contract_check.example_files import valid_files
from penstock.contracts import load
from penstock.contracts.validator import compile_schema
from penstock.scoring import vectors

CONTRACTS = load()
LARGEST = 1.7976931348623157e308
DAMAGE: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    3.0,
    0.5,
    64,
    2**48,
    2**64 - 1,
    -(2**63),
    LARGEST,
    -LARGEST,
    -0.0,
    5e-324,
    "",
    "é",
    "x" * 200,
]
DAMAGE += [
    "a b",
    "\n",
    "1",
    [],
    [LARGEST],
    ["x", 1],
    {},
    {"a b": 1},
    {"n": -LARGEST},
    {"n": {"n": [LARGEST, "x" * 70_000]}},
]


def _examples() -> Iterator[tuple[str, Any, Any]]:
    """Name, schema and an example of each payload and each event's data."""
    for name, record in CONTRACTS.records.items():
        if record.payload is not None:
            for path in valid_files(CONTRACTS, name):
                yield f"{name}/{path.stem}", record.payload, json.loads(path.read_bytes())["payload"]
    for name, type in CONTRACTS.types.items():
        for path in valid_files(CONTRACTS, name):
            yield f"{name}/{path.stem}", type.kept_data, json.loads(path.read_bytes())["data"]


def _damaged(value: Any) -> Iterator[Any]:
    """The value with each member of each object gone, or something else."""
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
        for name, member in value.items():
            yield {other: each for other, each in value.items() if other != name}
            for each in (*DAMAGE, *_damaged(member)):
                yield {**value, name: each}


@pytest.mark.parametrize(("schema", "example"), [pytest.param(*rest, id=name) for name, *rest in _examples()])
def test_a_validator_accepts_and_refuses_what_its_schema_does(schema: Any, example: Any) -> None:
    written, ours = jsonschema_rs.Draft202012Validator(dict(schema)), compile_schema(schema)
    assert ours.is_valid(example)
    for value in _damaged(example):
        parsed = orjson.loads(orjson.dumps(value))
        assert ours.is_valid(parsed) == written.is_valid(parsed), value


def test_bounds_beside_those_of_a_double_are_kept() -> None:
    validator = compile_schema({"properties": {"minimum": {"minimum": -LARGEST, "maximum": 5}, "n": {"minimum": 1}}})
    assert validator.is_valid({"minimum": -LARGEST, "n": 1})
    assert not validator.is_valid({"minimum": 6})
    assert not validator.is_valid({"n": 0})


@pytest.mark.parametrize("last", [*"AZaz09+/"])
def test_a_vector_that_the_schema_of_scores_accepts_can_be_read(last: str) -> None:
    text = "/" * 170 + last + "="
    validator = compile_schema(CONTRACTS.records["score.v1"].payload["properties"]["vector"])  # type: ignore[index]
    assert validator.is_valid(text)
    assert len(vectors.from_text(text)) == vectors.DIMS
    for other in (text[:-1], text[1:], f"{text}\n", text.replace("/", "-"), f"{text[:-2]}==", text * 2):
        assert not validator.is_valid(other)
