"""A record that its provider made larger is kept and counted, and `contracts check --drift` shows where it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from penstock.cli.contracts import app
from penstock.contract_check.drift_report import drift_of
from penstock.contracts import load
from penstock.errors import Refused
from penstock.events import Checker
from penstock.events.metrics import DRIFTED

NOW = 1_795_000_000_000_000_000
CONTRACTS = load()
CHECKER = Checker(CONTRACTS)
AUDIT = {"eventSource": "kms.amazonaws.com", "eventName": "Decrypt", "eventTime": "2026-11-18T00:00:00Z"}
LINE = {"message": "disk full"}


def audited(**data: Any) -> bytes:
    return envelope("cloud.audit.v1", AUDIT | data)


def line(**data: Any) -> bytes:
    return envelope("log.line.v1", LINE | data)


def envelope(type: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps(
        {"specversion": "1.0", "id": "1", "source": "s", "type": type, "subject": "host-1", "data": data}
    )


KEPT = [
    audited(vpcEndpointPath="a"),
    audited(newDetails={"list": [1, {"deep": None}], "flag": True}),
    audited(awsRegion=None),
    audited(userIdentity={"type": "Role", "newKind": 7, "sessionContext": {"attributes": {"mfaAuthenticated": True}}}),
    audited(userIdentity=None, tlsDetails={"tlsVersion": None, "postQuantum": True}),
    audited(resources=None),
    audited(resources=[{"ARN": "a", "tags": {"k": "v"}}, {"accountId": 12345}]),
    audited(readOnly="false", managementEvent=None),
    audited(eventVersion=1.12, recipientAccountId=123456789012),
    audited(requestID="x" * 4_000),
    line(severity=3),
    line(exception={"type": "E", "cause": {"type": "F"}}),
    line(level=40, host=None, trace_id="5B8EFFF798038103D269B633813FC60C"),
    line(pid=None, labels=None),
]


@pytest.mark.parametrize("raw", KEPT)
def test_what_differs_from_its_description_is_kept_whole_and_counted(raw: bytes) -> None:
    event = orjson.loads(raw)
    counter = DRIFTED.labels(event["type"])
    before = counter._value.get()
    found = CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW)
    assert found.value["data"] == event["data"]
    assert orjson.loads(found.raw)["data"] == event["data"]
    assert counter._value.get() == before + 1


@pytest.mark.parametrize("raw", [audited(), line(), line(level="error", pid=7, labels={"a": "b"})])
def test_what_is_as_described_is_not_counted(raw: bytes) -> None:
    counter = DRIFTED.labels(orjson.loads(raw)["type"])
    before = counter._value.get()
    CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW)
    assert counter._value.get() == before


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (audited(eventName=None), "/data/eventName"),
        (audited(readOnly="perhaps"), "/data/readOnly"),  # an index of truth values cannot take it
        (audited(userIdentity="root"), "/data/userIdentity"),
        (audited(**{"a.b": 1}), "/data"),
        (audited(**{"a\x00b": 1}), "/data"),
        (line(message=None), "/data/message"),
        (line(pid="seven"), "/data/pid"),
        (line(level="x" * 4_001), "/data/level"),
        (envelope("metric.sample.v1", {"name": "cpu", "value": 1, "more": 2}), "/data/more"),
    ],
)
def test_what_an_index_could_not_take_is_refused(raw: bytes, pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW)
    assert (refused.value.code, refused.value.pointer) == ("SCHEMA_VIOLATION", pointer)


def test_drift_is_reported_by_place() -> None:
    found = {(each.type, each.pointer): (each.detail, each.count) for each in drift_of(CONTRACTS, [*KEPT, audited()])}
    assert found["cloud.audit.v1", "/data/vpcEndpointPath"] == ("not described", 1)
    assert found["cloud.audit.v1", "/data/resources/*/tags"] == ("not described", 1)
    assert found["cloud.audit.v1", "/data/awsRegion"] == ("not string", 1)
    assert found["log.line.v1", "/data/exception/cause"] == ("not described", 1)
    assert drift_of(CONTRACTS, [audited(), line()]) == []


def test_the_command_shows_the_drift_of_files(tmp_path: Path) -> None:
    (tmp_path / "trail.json").write_bytes(orjson.dumps({"Records": [AUDIT | {"more": 1}, AUDIT | {"more": 2}, AUDIT]}))
    shown = CliRunner().invoke(app, ["check", "--drift", str(tmp_path / "trail.json")])
    assert shown.exit_code == 0, shown.output
    assert "/data/more" in shown.output
    assert shown.output.split()[-1] == "2"
