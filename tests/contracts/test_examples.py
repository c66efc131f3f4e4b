"""Examples are part of the contract: the one check takes the good ones and refuses the bad ones as they say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.contract_check.example_files import Invalid, invalid, valid_files
from penstock.contract_check.lint_examples import NOW, refusal
from penstock.contracts import load, subjects
from penstock.events import MAX_EVENT_BYTES, Checker

CONTRACTS = load()
CHECKER = Checker(CONTRACTS)
GOOD = [(type, path) for type in CONTRACTS.types for path in valid_files(CONTRACTS, type)]
BAD = [each for type in CONTRACTS.types for each in invalid(CONTRACTS, type)]


@pytest.mark.parametrize(("type", "path"), GOOD, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_a_valid_example_passes_ingress_and_workers_alike(type: str, path: Path) -> None:
    event = CHECKER.at_ingress(path.read_bytes(), publisher="example", door="http", now_ns=NOW)
    assert event.type.type == type

    delivery = SimpleNamespace(
        subject=event.subject, data=event.raw, headers=None, stream="EVENTS_HTTP", sequence=7, stored_at_ns=NOW + 1
    )
    again = CHECKER.delivered(delivery)
    assert (again.key, again.raw, again.publisher, again.sequence) == (event.key, event.raw, "example", 7)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.type}-{bad.name}")
def test_a_bad_example_is_refused_with_its_code_and_pointer(bad: Invalid) -> None:
    error = refusal(CHECKER, bad.raw)
    assert error is not None, "it was accepted"
    assert (error.code, error.pointer) == (bad.code, bad.pointer)
    assert error.detail
    assert error.code in CONTRACTS.errors


def test_largest_examples_use_every_described_member() -> None:
    for type, event_type in CONTRACTS.types.items():
        value = json.loads((CONTRACTS.root / "examples" / type / "largest.json").read_bytes())
        assert set(value["data"]) == set(event_type.data["properties"]), type


def test_an_event_of_256_kib_is_taken_and_one_byte_more_is_not() -> None:
    event = (CONTRACTS.root / "examples/log.line.v1/typical.json").read_bytes().rstrip()
    assert refusal(CHECKER, event.ljust(MAX_EVENT_BYTES)) is None
    error = refusal(CHECKER, event.ljust(MAX_EVENT_BYTES + 1))
    assert error is not None
    assert error.code == "EVENT_TOO_LARGE"


def test_every_rule_for_one_event_has_an_example_that_breaks_it() -> None:
    shown = {bad.code for bad in BAD}
    of_one_event = {"JSON_INVALID", "ENVELOPE_INVALID", "ATTRIBUTE_UNKNOWN", "TYPE_UNKNOWN", "SCHEMA_VIOLATION"}
    of_one_event |= {"NESTED_TOO_DEEP", "MEMBER_DUPLICATE", "NUMBER_UNFIT", "TIME_INVALID", "TIME_OUT_OF_BOUNDS"}
    assert shown == of_one_event


def test_the_partition_of_an_example_is_that_of_its_entity() -> None:
    raw = (CONTRACTS.root / "examples/log.line.v1/typical.json").read_bytes()
    event = CHECKER.at_ingress(raw, publisher="example", door="nats", now_ns=NOW)
    assert event.entity == "web1"
    assert event.subject == f"evt.{subjects.partition('web1'):02x}.nats.example.log.line.v1"
