"""What is written to AUDIT keeps to contracts/records, whatever a caller, the server or a worker says."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.audit.record import asked, encode
from penstock.broker import StoredMessage
from penstock.contracts import load
from penstock.errors import Refused
from penstock.events import timestamps
from penstock.events.records import read_record
from penstock.services.auditor.admin import Calls
from penstock.services.auditor.connections import Sessions
from penstock.services.auditor.dead_letters import letter
from penstock.services.auditor.tally import Tally
from penstock.services.auditor.violations import violation

CONTRACTS = load()
NOW = timestamps.parse("2026-11-01T12:00:00Z")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=9,
)
REQUEST = st.dictionaries(st.sampled_from(["datasets", "types", "time", "text", "limit"]), JSON)
LOG = '[1] 2026/11/01 12:00:00 [ERR] 10.0.0.7:5 - cid:17 - "shop" "APP/app:UKEY" - {} Violation - Subject "{}"'


def written(action: str, body: dict[str, Any], emitter: str = "auditor") -> Any:
    """The record with the members that its writer adds, read again. Raises Refused RECORD_INVALID."""
    payload = orjson.dumps({"time": timestamps.text(NOW), "through": emitter, **body})
    return read_record(CONTRACTS, f"audit.{emitter}.{action}", {}, payload).value


def entries(action: str, stream: str, found: list[dict[str, Any]]) -> Any:
    """The entries of such a record, as they are read again. Raises Refused RECORD_INVALID."""
    return written(action, {"stream": stream, "from": 1, "to": 9, "count": len(found), "entries": found})["entries"]


def stored(data: bytes, subject: str = "$JS.EVENT.ADVISORY.API", **headers: str) -> StoredMessage:
    return StoredMessage("ADMIN", 7, subject, NOW, data, headers)


@given(REQUEST, st.sampled_from([{"hits": [{}]}, {}, Refused("QUERY_INVALID", "no")]))
def test_a_request_on_record_keeps_its_time_whatever_was_requested(request: dict[str, Any], reply: Any) -> None:
    said = asked(request, reply, 0.0123, CONTRACTS.types)
    payload = encode("alice", "ingress", operation="search.query", **said)
    record = read_record(CONTRACTS, "audit.ingress.query", {}, payload).value
    assert timestamps.parse(record["time"]) > NOW - 10**18


@given(st.lists(st.tuples(st.sampled_from(["shop", "till"]), st.integers(0, 3)), min_size=1, max_size=60))
def test_a_window_of_publishes_keeps_to_the_contract(events: list[tuple[str, int]]) -> None:
    tally = Tally(1, 0.0)
    for publisher, gap in events:
        if gap:
            tally.miss(tally.next + gap)
        tally.add(f"evt.1c.http.{publisher}.log.line.v1", tally.next, NOW)
    record = written("published.EVENTS_HTTP", tally.record("EVENTS_HTTP"))
    assert record["count"] == len(events)


@given(JSON, st.sampled_from(["CONNECT", "DISCONNECT", "CLIENT.AUTH.ERR"]))
def test_reports_of_the_server_keep_to_the_contract(report: Any, event: str) -> None:
    message = stored(orjson.dumps(report), f"session.APP.{event}")
    sessions = [each for each in Sessions({}).entries([message]) if each]
    calls = [each for each in Calls(CONTRACTS, {}).entries([message]) if each]
    assert entries("sessions", "SESSIONS", sessions) == sessions
    assert entries("admin", "ADMIN", calls) == calls


@example({"sequence": "9" * 128, "delivered": str(2**53)})  # no reader of JSON keeps such numbers
@example({"sequence": "¹", "delivered": "²"})  # digits to Unicode, and no numbers
@given(st.dictionaries(st.sampled_from(["code", "sequence", "delivered", "key", "form"]), st.text(max_size=200)))
def test_an_entry_of_a_dead_letter_keeps_to_the_contract_whatever_its_headers_say(headers: dict[str, str]) -> None:
    named = {f"x-penstock-{name}": value for name, value in headers.items()}
    found = [letter(stored(b"", "dlq.writer.evt.1c.http.shop.log.line.v1", **named))]
    assert entries("dead_letters", "DLQ", found) == found


def test_a_violation_keeps_to_the_contract() -> None:
    found = [violation(LOG.format(kind, "evt.00.nats.till.a.b.v1"), {}) for kind in ("Publish", "Subscription")]
    record = written("violations", {"count": 2, "entries": found})
    assert [entry["kind"] for entry in record["entries"]] == ["publish", "subscription"]
