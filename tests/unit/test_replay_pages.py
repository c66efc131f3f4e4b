"""A stored record gives back the event as it was sent, and the epoch that its version needs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest

from penstock.events import record, timestamps
from penstock.rpc.messages import StoredUpTo
from penstock.services.writer.queries.stored import epoch_of, parse_place, place_of, stored_event, stored_score
from tests.support.deliveries import event_of, line, score_of

DAY = 700  # since 2024-01-01: 2025-12-01
NOW = StoredUpTo(stream="EVENTS_HTTP", epoch=DAY, first=36_000_000_001, last=36_000_000_500)


@pytest.mark.parametrize(
    ("message", "host"),
    [("plain", "web_1"), ('{"event":{"a":1}}', 'a","event":{"x'), ("ünïcode \u2028", "host\\"), ("x", " ")],
)
def test_the_event_is_cut_out_of_its_record_byte_by_byte(message: str, host: str) -> None:
    event = replace(event_of(line(message, host=host), sequence=7), stream="EVENTS_HTTP")
    found = stored_event(event.key, record(event))
    assert found.data == event.raw
    assert (found.publisher, found.door, found.stream, found.sequence) == ("example", "http", "EVENTS_HTTP", 7)
    assert (found.entity, found.stored_at_ns, found.type) == (event.entity, event.stored_at_ns, "log.line.v1")


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"key":"a","time":"b"}'])
def test_what_is_no_record_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="is not one of events"):
        stored_event("a", broken)


@pytest.mark.parametrize(
    ("stored_at", "sequence", "epoch"),
    [
        ("2025-12-01T11:00:00Z", 36_000_000_100, DAY),  # the stream as it is now, on the day it was made
        ("2025-12-09T11:00:00Z", 36_000_000_100, DAY),  # and later
        ("2025-12-01T09:00:00Z", 32_000_000_100, DAY),  # an earlier stream of that day has lower sequences
        ("2025-11-20T09:00:00Z", 80_000_000_100, DAY - 11),  # one of an earlier day a lower epoch
        ("2023-01-01T00:00:00Z", 5, 0),
    ],
)
def test_a_record_has_an_epoch_that_nothing_newer_falls_below(stored_at: str, sequence: int, epoch: int) -> None:
    event = replace(event_of(line("x"), sequence=sequence), stored_at_ns=timestamps.parse(stored_at))
    assert epoch_of(stored_event(event.key, record(event)), NOW) == epoch


def test_a_score_is_sent_as_it_was_and_named_by_the_place_of_its_event() -> None:
    event = replace(event_of(line("x"), sequence=7), stream="EVENTS_NATS")
    score = score_of(event, model="lines", version=3)
    found = stored_score(event.key, "lines", score.raw)
    assert found.data == score.raw
    assert found.subject(event.pp) == f"score.{event.pp:02x}.lines.log.line.v1"
    assert (found.stream, found.sequence, found.stored_at_ns) == ("EVENTS_NATS", 7, event.stored_at_ns)


def test_a_place_among_scores_is_read_back_and_a_key_lies_before_its_scores() -> None:
    key = UUID(event_of(line("x")).key)
    row = SimpleNamespace(key=key, model="lines", version=12)
    assert parse_place(place_of(row)) == (key, "lines", 12)
    assert parse_place(str(key)) == (key, "", 0)
    assert parse_place(None) < parse_place(str(key)) < parse_place(place_of(row))
