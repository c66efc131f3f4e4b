"""The one check: ingress and workers decide alike, and what the ingress stamps or flattens is still the event."""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from penstock.contracts import load, subjects
from penstock.errors import Refused
from penstock.events import MAX_EVENT_BYTES, Checker, record, timestamps

NOW = 1_795_000_000_000_000_000
HOUR = 3_600_000_000_000
CHECKER = Checker(load())


@dataclass
class Delivered:
    data: bytes
    subject: str = subjects.event(subjects.partition("host-1"), "nats", "billing", "log.line.v1")
    headers: dict[str, str] | None = None
    stream: str = "EVENTS_NATS"
    sequence: int = 7
    stored_at_ns: int = NOW


@dataclass
class Line:
    """A log line as a CloudEvent; keyword arguments change or, with None, remove attributes."""

    changes: dict[str, Any] = field(default_factory=dict)

    def raw(self) -> bytes:
        event = {
            "specversion": "1.0",
            "id": "a-1",
            "source": "/var/log/app",
            "type": "log.line.v1",
            "time": timestamps.text(NOW),
            "subject": "host-1",
            "data": {"message": "disk full"},
        } | self.changes
        return orjson.dumps({name: value for name, value in event.items() if value is not None})


def line(**changes: Any) -> bytes:
    return Line(changes).raw()


def refusal(raw: bytes, **where: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW, **where)
    return caught.value


def with_null(*names: str, **changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(line(**changes)) | dict.fromkeys(names))


@pytest.mark.parametrize("name", ["dataschema", "datacontenttype", "traceparent", "tracestate", "some_extension"])
def test_an_attribute_that_is_null_is_absent(name: str) -> None:
    found = CHECKER.at_ingress(with_null(name), publisher="shop", door="http", now_ns=NOW)
    plain = CHECKER.at_ingress(line(), publisher="shop", door="http", now_ns=NOW)
    assert (found.value, orjson.loads(found.raw), found.key) == (plain.value, orjson.loads(plain.raw), plain.key)


def test_a_time_that_is_null_is_that_of_arrival() -> None:
    found = CHECKER.at_ingress(with_null("time"), publisher="shop", door="http", now_ns=NOW)
    assert found.raw.count(b'"time"') == 1
    assert orjson.loads(found.raw)["time"] == timestamps.text(NOW)
    direct = CHECKER.delivered(Delivered(with_null("dataschema")))
    assert "dataschema" not in direct.value


@pytest.mark.parametrize(("name", "code"), [("subject", "ENVELOPE_INVALID"), ("id", "ENVELOPE_INVALID")])
def test_a_required_attribute_that_is_null_is_missing(name: str, code: str) -> None:
    assert refusal(with_null(name)).code == code


def test_numbers_keep_their_digits_beside_an_attribute_that_is_null() -> None:
    data = {"requestParameters": {"n": 12345678901234567890}, "eventSource": "s", "eventName": "n"}
    raw = with_null("dataschema", type="cloud.audit.v1", data=data)
    assert CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW).raw.count(b"12345678901234567890") == 1


@pytest.mark.parametrize("media", ["Application/JSON", "APPLICATION/vnd.x+Json; v=1", "application/json\t;v=1"])
def test_media_types_compare_without_case(media: str) -> None:
    CHECKER.at_ingress(line(datacontenttype=media), publisher="shop", door="http", now_ns=NOW)


def test_ingress_and_worker_give_an_event_the_same_key() -> None:
    at_ingress = CHECKER.at_ingress(line(), publisher="billing", door="nats", now_ns=NOW)
    behind = CHECKER.delivered(Delivered(line()))
    assert at_ingress.key == behind.key
    assert behind.subject == Delivered(b"").subject
    assert (behind.publisher, behind.door, behind.stream, behind.sequence) == ("billing", "nats", "EVENTS_NATS", 7)


def test_the_bytes_of_an_event_stay_but_for_line_breaks() -> None:
    raw = orjson.dumps(orjson.loads(line()), option=orjson.OPT_INDENT_2).replace(b"\n", b"\r\n")
    event = CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW)
    assert event.raw == raw.replace(b"\r\n", b"  ")
    assert b"\n" not in record(event)


def test_event_without_time_is_stamped_on_arrival() -> None:
    event = CHECKER.at_ingress(line(time=None), publisher="shop", door="http", now_ns=NOW)
    assert event.time_ns == NOW
    assert orjson.loads(event.raw) == {"time": timestamps.text(NOW)} | orjson.loads(line(time=None))


def test_direct_event_without_time_takes_the_moment_of_storing() -> None:
    event = CHECKER.delivered(Delivered(line(time=None), stored_at_ns=NOW + HOUR))
    assert event.time_ns == NOW + HOUR
    assert event.raw == line(time=None)


def test_an_event_accepted_at_the_bounds_is_accepted_by_the_worker_later() -> None:
    log = load().types["log.line.v1"]
    oldest = line(time=timestamps.text(NOW - log.past_ns))
    assert CHECKER.at_ingress(oldest, publisher="shop", door="http", now_ns=NOW)
    assert CHECKER.delivered(Delivered(oldest, stored_at_ns=NOW + 60_000_000_000))


@pytest.mark.parametrize("side", ["past", "future"])
def test_absurd_times_are_refused(side: str) -> None:
    log = load().types["log.line.v1"]
    far = NOW - log.past_ns - 1 if side == "past" else NOW + log.future_ns + 1
    assert refusal(line(time=timestamps.text(far))).code == "TIME_OUT_OF_BOUNDS"


def test_time_is_measured_against_the_moment_of_storing_so_that_a_replay_decides_alike() -> None:
    later = int(time.time_ns()) + 50 * 365 * 24 * HOUR
    event = line(time=timestamps.text(later))
    assert CHECKER.delivered(Delivered(event, stored_at_ns=later)).time_ns == later
    with pytest.raises(Refused, match="TIME_OUT_OF_BOUNDS"):
        CHECKER.delivered(Delivered(event))


def test_entity_is_the_subject_or_else_source_and_id() -> None:
    with_subject = CHECKER.at_ingress(line(), publisher="shop", door="http", now_ns=NOW)
    assert (with_subject.entity, with_subject.pp) == ("host-1", subjects.partition("host-1"))
    sample = {
        "specversion": "1.0",
        "id": "b-2",
        "source": "/meter",
        "type": "metric.sample.v1",
        "time": timestamps.text(NOW),
        "data": {"name": "load", "value": 1.5},
    }
    if load().types["metric.sample.v1"].entity.required:
        assert refusal(orjson.dumps(sample)).pointer == ""
    else:
        event = CHECKER.at_ingress(orjson.dumps(sample), publisher="shop", door="http", now_ns=NOW)
        assert event.entity == "/meterb-2"


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (subjects.event((subjects.partition("host-1") + 1) % 64, "nats", "billing", "log.line.v1"), "SUBJECT_MISMATCH"),
        (subjects.event(subjects.partition("host-1"), "nats", "billing", "log.line.v2"), "SUBJECT_MISMATCH"),
        ("evt.zz.nats.billing.log.line.v1", "SUBJECT_INVALID"),
    ],
)
def test_a_publisher_s_wrong_subject_is_refused(subject: str, code: str) -> None:
    with pytest.raises(Refused, match=code):
        CHECKER.delivered(Delivered(line(), subject=subject))


@pytest.mark.parametrize(
    ("raw", "code", "pointer"),
    [
        (b"[]", "ENVELOPE_INVALID", ""),
        (b"3", "ENVELOPE_INVALID", ""),
        (line(type=None), "ENVELOPE_INVALID", ""),
        (line(type=["log.line.v1"]), "ENVELOPE_INVALID", "/type"),
        (line(type="log.line.v9"), "TYPE_UNKNOWN", "/type"),
        (line(type="log.line"), "TYPE_UNKNOWN", "/type"),
        (line(id=None), "ENVELOPE_INVALID", ""),
        (line(id=""), "ENVELOPE_INVALID", "/id"),
        (line(id="a\x00b"), "ENVELOPE_INVALID", "/id"),
        (line(source="a\nb"), "ENVELOPE_INVALID", "/source"),
        (line(specversion="0.3"), "ENVELOPE_INVALID", "/specversion"),
        (line(colour="red"), "ATTRIBUTE_UNKNOWN", "/colour"),
        (line(data_base64="AA=="), "ATTRIBUTE_UNKNOWN", "/data_base64"),
        (line(data=None), "ENVELOPE_INVALID", ""),
        (line(data={"message": 3}), "SCHEMA_VIOLATION", "/data/message"),
        (line(type="metric.sample.v1", data={"name": "x", "value": 1, "a~/b": 1}), "SCHEMA_VIOLATION", "/data/a~0~1b"),
        (line(time="yesterday"), "TIME_INVALID", "/time"),
        (line(datacontenttype="text/plain"), "ENVELOPE_INVALID", "/datacontenttype"),
        (line(data={"message": "x" * MAX_EVENT_BYTES}), "EVENT_TOO_LARGE", ""),
    ],
)
def test_bad_events_are_refused_with_code_and_pointer(raw: bytes, code: str, pointer: str) -> None:
    error = refusal(raw)
    assert (error.code, error.pointer) == (code, pointer)
    assert len(error.detail) < 400


def test_a_record_wraps_the_bytes_with_verified_members() -> None:
    event = CHECKER.delivered(
        Delivered(
            line(subject='odd "host"'),
            subject=subjects.event(subjects.partition('odd "host"'), "nats", "billing", "log.line.v1"),
        )
    )
    assert orjson.loads(record(event)) == {
        "key": event.key,
        "time": timestamps.text(NOW),
        "entity": 'odd "host"',
        "publisher": "billing",
        "door": "nats",
        "stream": "EVENTS_NATS",
        "sequence": 7,
        "stored_at": timestamps.text(NOW),
        "event": orjson.loads(line(subject='odd "host"')),
    }
