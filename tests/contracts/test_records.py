"""Record types: what the fleet publishes for other programs to read, its examples, its readers, and its changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.audit.seal import read_seal
from penstock.broker.protocol import Message
from penstock.consume.live_tail import Copies
from penstock.contract_check.compatibility import Release, compare
from penstock.contract_check.example_files import Invalid, invalid, valid_files
from penstock.contract_check.lint_records import refusal
from penstock.contract_check.releases import working_tree
from penstock.contracts import load
from penstock.errors import Refused
from penstock.events import Checker
from penstock.events.records import read_record, record_type
from penstock.scoring.score import read_score
from tests.support.deliveries import Delivered

CONTRACTS = load()
GOOD = [(name, path) for name in CONTRACTS.records for path in valid_files(CONTRACTS, name)]
BAD = [each for name in CONTRACTS.records for each in invalid(CONTRACTS, name)]


@pytest.mark.parametrize(("name", "path"), GOOD, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_a_valid_example_is_read_as_its_record_type(name: str, path: Path) -> None:
    message = json.loads(path.read_bytes())
    found = read_record(CONTRACTS, message["subject"], message["headers"], orjson.dumps(message["payload"]))
    assert found.type.record == name
    assert found.value == (message["payload"] if found.type.payload else None)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad.type}-{bad.name}")
def test_an_invalid_example_is_refused_with_its_code_and_pointer(bad: Invalid) -> None:
    error = refusal(CONTRACTS, bad.type, bad.raw)
    assert error is not None, "it was accepted"
    assert (error.code, error.pointer) == (bad.code, bad.pointer)
    assert error.detail


@pytest.mark.parametrize("name", CONTRACTS.records)
def test_the_examples_use_every_described_member(name: str) -> None:
    messages = [json.loads(path.read_bytes()) for path in valid_files(CONTRACTS, name)]
    record = CONTRACTS.records[name]
    for part, schema in (("headers", record.headers), ("payload", record.payload)):
        if schema is not None:
            assert {member for message in messages for member in message[part]} >= set(schema["properties"]), part


def test_every_stream_that_holds_no_events_and_is_ours_has_record_types() -> None:
    described = {record.stream for record in CONTRACTS.records.values()}
    assert described == {"SCORES", "DLQ", "AUDIT", "REPLAY", None}
    assert CONTRACTS.records["tail.v1"].stream is None


def test_an_action_that_no_contract_describes_is_refused() -> None:
    with pytest.raises(Refused, match="no record type has the subject") as error:
        record_type(CONTRACTS, "audit.operator.invented", {})
    assert error.value.pointer == "/subject"


def test_nobody_but_its_emitter_writes_an_action() -> None:
    assert record_type(CONTRACTS, "audit.warden.revoke", {}).record == "audit.revoke.v1"
    with pytest.raises(Refused):
        record_type(CONTRACTS, "audit.indexer.revoke", {})


def test_a_payload_that_is_not_json_is_refused() -> None:
    with pytest.raises(Refused, match="JSON") as error:
        read_record(CONTRACTS, "audit.warden.revoke", {}, b"{")
    assert (error.value.code, error.value.pointer) == ("RECORD_INVALID", "/payload")


@pytest.mark.parametrize("bad", list(invalid(CONTRACTS, "score.v1")), ids=lambda bad: bad.name)
def test_the_stores_refuse_an_invalid_score(bad: Invalid) -> None:
    message = json.loads(bad.raw)
    with pytest.raises(Refused) as error:
        read_score(Delivered(message["subject"], orjson.dumps(message["payload"]), stream="SCORES"), CONTRACTS)
    assert (error.value.code, error.value.pointer) == ("SCORE_INVALID", bad.pointer)


@pytest.mark.parametrize("path", list(valid_files(CONTRACTS, "score.v1")), ids=lambda path: path.stem)
def test_the_stores_accept_a_valid_score(path: Path) -> None:
    message = json.loads(path.read_bytes())
    score = read_score(Delivered(message["subject"], orjson.dumps(message["payload"]), stream="SCORES"), CONTRACTS)
    assert score.key == message["payload"]["key"]


@pytest.mark.parametrize("bad", list(invalid(CONTRACTS, "tail.v1")), ids=lambda bad: bad.name)
def test_a_follower_refuses_an_invalid_copy(bad: Invalid) -> None:
    with pytest.raises(Refused):
        Copies(CONTRACTS, Checker(CONTRACTS)).event_of(_copy(json.loads(bad.raw)))


@pytest.mark.parametrize("bad", list(invalid(CONTRACTS, "audit.seal.v1")), ids=lambda bad: bad.name)
def test_the_verifier_refuses_an_invalid_seal(bad: Invalid) -> None:
    with pytest.raises(Refused, match="TRAIL_BROKEN"):
        read_seal(orjson.dumps(json.loads(bad.raw)["payload"]))


CHANGES = [
    (("payload", "properties", "label"), {"type": "boolean"}, None),
    (("payload", "properties", "score", "maximum"), 2, None),
    (("payload", "properties", "entity", "maxLength"), 9, "breaking-narrower"),
    (("payload", "required"), ["key"], "breaking-looser"),
    (("headers", "required"), ["traceparent"], "breaking-narrower"),
    (("headers",), None, "breaking-unclear"),
    (("subject",), "scores.{pp}.{model}.{type}", "breaking-unclear"),
    (("parameters", "pp", "pattern"), "[0-9]+", "breaking-unclear"),
    (("stream",), "AUDIT", "breaking-unclear"),
    (("status",), "draft", "breaking-unclear"),
    (("meaning",), "Another sentence.", None),
    (("parameters", "pp", "meaning"), "Another sentence.", None),
]


@pytest.mark.parametrize(("path", "to", "rule"), CHANGES, ids=lambda value: str(value)[:40])
def test_a_change_of_a_released_record_type_is_judged(path: tuple[str, ...], to: Any, rule: str | None) -> None:
    before = _released()
    after = json.loads(json.dumps(before))
    node = after
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = to
    findings, _ = compare(_release(before), _release(after))
    assert {finding.rule for finding in findings} == ({rule} if rule else set())
    assert all(finding.where.startswith("records/score.v1.yaml") for finding in findings)


def test_a_released_record_type_may_not_go_and_a_draft_may() -> None:
    before = _released()
    [finding], _ = compare(_release(before), Release("now", {}, {}, {}))
    assert (finding.where, finding.rule) == ("records/score.v1.yaml", "breaking-narrower")
    assert compare(_release({**before, "status": "draft"}), Release("now", {}, {}, {})) == ([], [])


def _released() -> dict[str, Any]:
    return dict(working_tree(CONTRACTS.root).records["score.v1"])


def _release(record: dict[str, Any]) -> Release:
    return Release("v1", {}, {}, {}, records={record["record"]: record})


def _copy(message: dict[str, Any]) -> Message:
    lines = "".join(f"{name}: {value}\r\n" for name, value in message["headers"].items())
    return Message(message["subject"], "", f"NATS/1.0\r\n{lines}\r\n".encode(), orjson.dumps(message["payload"]))
