"""`penstock send`, JSON: every member of a line survives, times are understood, batches become their records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from penstock.cli.shipping.log_lines import LogFile
from penstock.contracts import load
from penstock.events import Checker

WRITTEN = 1_795_219_200_000_000_000  # 2026-11-21T00:00:00Z
BERLIN = ZoneInfo("Europe/Berlin")
CHECKER = Checker(load())


def sent(
    text: str, damaged: Callable[[str], None] = lambda _: None, zone: ZoneInfo | None = None
) -> list[dict[str, Any]]:
    """The events of a file, each of which the contracts take."""
    file = LogFile(Path("/logs/app.jsonl"), written_ns=WRITTEN, zone=zone or ZoneInfo("UTC"), damaged=damaged)
    found = list(file.events(line.encode() for line in text.splitlines(keepends=True)))
    for raw in found:
        CHECKER.at_ingress(raw, publisher="app", door="http", now_ns=WRITTEN)
    return [orjson.loads(raw) for raw in found]


def members(event: dict[str, Any]) -> dict[str, Any]:
    """All that an event says, with the labels that hold the rest put together."""
    data = dict(event["data"])
    labels = data.pop("labels", {})
    pieces = [text for name, text in labels.items() if name.partition(".")[0] == "more"]
    rest = json.loads("".join(pieces)) if pieces else {}
    return data | {name: text for name, text in labels.items() if name.partition(".")[0] != "more"} | rest


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('"level":"warn","severity":"fatal"', {"level": "warn", "severity": "fatal"}),
        ('"logger":"a","component":"b","name":"c"', {"logger": "a", "component": "b", "name": "c"}),
        ('"time":"2026-01-01T00:00:00Z","date":"yesterday"', {"date": "yesterday"}),
        ('"time":"at noon"', {"time": "at noon"}),
        ('"pid":"no number"', {"pid": "no number"}),
        ('"list":[{"a":null,"b":true,"c":1.5}]', {"list": '[{"a":null,"b":true,"c":1.5}]'}),
        ('"empty":{},"none":null,"no":false', {"empty": "{}", "none": "null", "no": "false"}),
        ('"number":123456789012345678901234567890', {"number": "123456789012345678901234567890"}),
        ('"twice":1,"twice":2', {"twice": "1", "twice.2": "2"}),
        ('"a.b":1,"a":{"b":2}', {"a.b": "1", "a.b.2": "2"}),
        ('"deep":{"a":{"b":{"c":{"d":1}}}}', {"deep.a.b.c": '{"d":1}'}),
        ('"odd name?":"x"', {"odd name?": "x"}),
        ('"long":"' + "x" * 5000 + '"', {"long": "x" * 5000}),
        ('"host":"' + "h" * 300 + '"', {"host": "h" * 300}),
        (",".join(f'"m{n}":{n}' for n in range(200)), {"m0": "0", "m199": 199}),
        ('"trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736"', {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}),
        ('"trace_id":"not hex"', {"trace_id": "not hex"}),
        ('"error.type":"E","error.message":"m"', {"exception": {"type": "E", "message": "m"}}),
        ('"error.message":"alone"', {"error.message": "alone"}),
    ],
)
def test_every_member_survives(line: str, kept: dict[str, Any]) -> None:
    [event] = sent('{"msg":"m",' + line + "}")
    assert {name: members(event).get(name) for name in kept} == kept


def test_a_line_without_a_message_is_its_own_message() -> None:
    [event] = sent('{"a":1,"b":[2]}')
    assert event["data"]["message"] == '{"a":1,"b":[2]}'


def test_what_does_not_fit_is_counted_and_marked() -> None:
    file = LogFile(Path("/logs/app.jsonl"), written_ns=WRITTEN)
    lines = [
        b'{"msg":"%s the end"}' % (b"x" * 70_000),
        b'{"msg":"m","much":"%s"}' % (b"y" * 90_000),
        b'{"msg":"whole"}',
    ]
    first, second, third = (orjson.loads(raw)["data"] for raw in file.events(lines))
    assert first["message"].endswith("characters left out]")
    assert int(first["labels"]["cut_characters"]) > 9_000
    assert int(second["labels"]["cut_characters"]) > 60_000
    assert "labels" not in third
    assert file.cut == 2


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ('"1795046400.5"', "2026-11-19T00:00:00.500Z"),
        ("1795046400", "2026-11-19T00:00:00.000Z"),
        ("1795046400123", "2026-11-19T00:00:00.123Z"),
        ('"1795046400123456"', "2026-11-19T00:00:00.123456Z"),
        ("1795046400123456789", "2026-11-19T00:00:00.123456789Z"),
        ('"2026-11-19 00:00:00 GMT"', "2026-11-19T00:00:00.000Z"),
        ('"2026-11-19 01:00:00"', "2026-11-19T00:00:00.000Z"),  # in the zone given
        ('"2026-11-19T01:00:00,250+0100"', "2026-11-19T00:00:00.250Z"),
        ('"Thu, 19 Nov 2026 00:00:00 GMT"', "2026-11-19T00:00:00.000Z"),
        ('"19/Nov/2026:00:00:00 +0000"', "2026-11-19T00:00:00.000Z"),
        ('"Thu Nov 19 01:00:00 2026"', "2026-11-19T00:00:00.000Z"),
        ('"2026-07-01 02:00:00"', "2026-07-01T00:00:00.000Z"),  # daylight saving time
        ('"2026-11-19t00:00:00z"', "2026-11-19T00:00:00.000Z"),
        ('"2026-11-19 00:00:00 +0000 UTC"', "2026-11-19T00:00:00.000Z"),
        ('"2026-11-19T01:00:00+01:00[Europe/Berlin]"', "2026-11-19T00:00:00.000Z"),
        ('"19-Nov-2026 01:00:00"', "2026-11-19T00:00:00.000Z"),
        ('"19 Nov 2026 01:00:00.5"', "2026-11-19T00:00:00.500Z"),
    ],
)
def test_times_of_json_lines(value: str, moment: str) -> None:
    [event] = sent('{"msg":"m","ts":' + value + "}", zone=BERLIN)
    assert event["time"] == moment
    assert "labels" not in event["data"]


@pytest.mark.parametrize(
    "members",
    [
        {"@message": "m", "@level": "warn", "@module": "a.b", "@timestamp": "2026-11-19T00:00:00.5Z"},
        {"message": "m", "level": "warn", "loggerName": "a.b",
         "instant": {"epochSecond": 1795046400, "nanoOfSecond": 500000000}},
        {"RenderedMessage": "m", "Level": "warn", "logger": "a.b", "Timestamp": "2026-11-19T00:00:00.5000000+00:00"},
        {"Message": "m", "LogLevel": "warn", "Category": "a.b", "Timestamp": "2026-11-19T00:00:00.5Z"},
        {"textPayload": "m", "severity": "warn", "logger": "a.b",
         "timestamp": {"seconds": 1795046400, "nanos": 500000000}},
        {"fields": {"message": "m"}, "level": "warn", "target": "a.b", "timestamp": "2026-11-19T00:00:00.5Z"},
        {"body": "m", "severity_text": "warn", "logger": "a.b", "event_time": 1795046400.5},
        {"msg": "m", "s": "warn", "logger": "a.b", "t": {"$date": "2026-11-19T00:00:00.5+00:00"}},
        {"msg": "m", "level": "warn", "logger": "a.b", "date": "2026-11-19", "time": "00:00:00.5"},
    ],
    ids=["hclog", "Log4j 2", "Serilog", ".NET", "Cloud Logging", "tracing", "OpenTelemetry", "MongoDB",
         "date and time"],
)  # fmt: skip
def test_names_of_members_that_programs_use(members: dict[str, Any]) -> None:
    [event] = sent(json.dumps(members))
    assert event["time"] == "2026-11-19T00:00:00.500Z"
    assert {name: event["data"].get(name) for name in ("message", "level", "logger", "labels")} == {
        "message": "m", "level": "warn", "logger": "a.b", "labels": None,
    }  # fmt: skip


def test_a_numeric_level_has_its_name_where_the_logger_is_known_by_its_other_members() -> None:
    pino = {"level": 50, "time": 1795046400500, "pid": 7, "hostname": "till-9", "msg": "no seat"}
    [event] = sent(json.dumps(pino))
    found = {"level": "error", "pid": 7, "host": "till-9", "message": "no seat"}
    assert {name: event["data"].get(name) for name in found} == found
    [bunyan] = sent(json.dumps({**pino, "level": 30, "name": "shop", "v": 0}))
    assert bunyan["data"]["level"] == "info"
    [other] = sent(json.dumps({"level": 30, "message": "no seat"}))
    assert other["data"]["level"] == "30"
    [custom] = sent(json.dumps({**pino, "level": 35}))
    assert custom["data"]["level"] == "35"


def test_a_small_number_is_no_time() -> None:
    [event] = sent('{"msg":"m","ts":12.5}')
    assert (event["time"], event["data"]["labels"]) == ("2026-11-21T00:00:00.000Z", {"ts": "12.5"})


def test_the_journal_of_systemd() -> None:
    lines = (
        '{"MESSAGE":"no seat","_HOSTNAME":"till-9","PRIORITY":"2","SYSLOG_IDENTIFIER":"pay","_PID":"7",'
        '"__REALTIME_TIMESTAMP":"1795046400000001","_BOOT_ID":"b"}\n'
        '{"MESSAGE":[195,164,255],"_HOSTNAME":"till-9","__REALTIME_TIMESTAMP":"1795046400000002"}\n'
    )
    first, second = sent(lines)
    expected = {
        "message": "no seat",
        "host": "till-9",
        "level": "critical",
        "process": "pay",
        "pid": 7,
        "_BOOT_ID": "b",
    }
    assert {name: members(first).get(name) for name in expected} == expected
    assert first["time"] == "2026-11-19T00:00:00.000001Z"
    assert second["data"]["message"] == "ä\\xff"


RECORDS = [
    {"eventSource": "s3.amazonaws.com", "eventName": "Get", "eventTime": "2026-11-20T10:00:00Z", "eventID": f"r-{n}"}
    for n in range(4)
]
QUOTED = [{"EventId": each["eventID"], "CloudTrailEvent": json.dumps(each)} for each in RECORDS]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"Records": RECORDS}),
        json.dumps({"Records": RECORDS}, indent=4),
        json.dumps(RECORDS),
        json.dumps(RECORDS, indent=2),
        "[\n" + ",\n".join(json.dumps(each) for each in RECORDS) + "\n]\n",
        "".join(json.dumps(each) for each in RECORDS),
        "\n".join(json.dumps(each, indent=1) for each in RECORDS),
        json.dumps({"Events": QUOTED, "NextToken": "t"}, indent=4),
        json.dumps({"Records": RECORDS[:2]}) + "\n" + json.dumps({"Records": RECORDS[2:]}),
        json.dumps({"logGroup": "g", "logEvents": [{"id": "1", "message": json.dumps(each)} for each in RECORDS]}),
        "\n".join(json.dumps({"detail-type": "AWS API Call via CloudTrail", "detail": each}) for each in RECORDS),
    ],
    ids=[
        "records", "records over lines", "array", "array over lines", "one a line", "side by side",
        "objects over lines", "lookup-events", "two documents", "CloudWatch", "EventBridge",
    ],
)  # fmt: skip
def test_batches_become_their_records(text: str) -> None:
    events = sent(text)
    assert [(event["type"], event["id"], event["data"]) for event in events] == [
        ("cloud.audit.v1", each["eventID"], each) for each in RECORDS
    ]


def test_what_stands_beside_a_batch_is_kept_with_each_record() -> None:
    group = {
        "logGroup": "/till",
        "logEvents": [{"id": "1", "timestamp": 1795046400001, "message": "a"}, {"message": "b"}],
    }
    first, second = sent(json.dumps(group))
    assert (first["time"], first["data"]["message"]) == ("2026-11-19T00:00:00.001Z", "a")
    assert first["data"]["labels"] == {"logGroup": "/till", "id": "1"}
    assert second["data"]["labels"] == {"logGroup": "/till"}
    assert first["id"] != second["id"]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["events", "entries", "items", "logs", "value", "data", "results", "messages", "hits"])
def test_a_list_of_records_becomes_its_records(name: str, indent: int | None) -> None:
    records = [{"time": "2026-11-19T00:00:00Z", "message": "a"}, {"timestamp": "2026-11-19T00:00:01Z", "n": 1}]
    first, second = sent(json.dumps({"next": "t", name: records}, indent=indent))
    assert (first["time"], members(first)["message"], members(first)["next"]) == ("2026-11-19T00:00:00.000Z", "a", "t")
    assert second["time"] == "2026-11-19T00:00:01.000Z"


def test_a_search_of_elasticsearch_becomes_its_documents() -> None:
    hits = [{"_id": n, "_source": {"@timestamp": "2026-11-19T00:00:00Z", "message": n}} for n in ("a", "b")]
    found = sent(json.dumps({"took": 1, "hits": {"total": {"value": 2}, "hits": hits}}))
    assert [(members(each)["message"], members(each)["_id"]) for each in found] == [("a", "a"), ("b", "b")]


@pytest.mark.parametrize(
    "line",
    [
        '{"msg":"sold","items":[{"time":"x"},{"time":"y"}]}',
        '{"time":"2026-11-19T00:00:00Z","data":[{"message":"a"}]}',
        '{"items":[{"sku":"A1"}]}',
        '{"events":[]}',
        '{"value":[1,2]}',
    ],
)
def test_a_list_within_a_record_stays_within_it(line: str) -> None:
    assert len(sent(line)) == 1


@pytest.mark.parametrize("indent", [None, 2])
def test_a_document_that_ends_early_gives_its_whole_records(indent: int | None) -> None:
    text = json.dumps({"Records": RECORDS}, indent=indent)
    reasons: list[str] = []
    events = sent(text[: text.index("r-3")], reasons.append)
    assert [event["id"] for event in events[:3]] == ["r-0", "r-1", "r-2"]
    assert "eventName" in "".join(event["data"]["message"] for event in events[3:])
    assert len(reasons) == 1
    assert "damaged behind 3 records" in reasons[0]


def test_a_damaged_line_does_not_swallow_those_behind_it() -> None:
    events = sent('{"a": {\n{"msg":"one"}\n{"b":\n{"msg":"two"}\n')
    messages = [event["data"]["message"] for event in events]
    assert [each for each in messages if each in ("one", "two")] == ["one", "two"]
    assert '{"a": {' in messages


@pytest.mark.parametrize(
    ("written", "moment"),
    [("2026-11-20 10:00:00", "2026-11-20T10:00:00.000Z"), ("yesterday", "2026-11-21T00:00:00.000Z")],
)
def test_an_audit_record_is_kept_whatever_its_time(written: str, moment: str) -> None:
    record = {"eventSource": "s3.amazonaws.com", "eventName": "Get", "eventTime": written, "eventID": written}
    [event] = sent(json.dumps(record))
    assert (event["type"], event["time"], event["data"]) == ("cloud.audit.v1", moment, record)


def test_an_empty_batch_is_no_event() -> None:
    assert sent('{"Records": []}\n[]\n') == []
