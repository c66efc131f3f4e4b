"""A stored record gives back the event as it was sent, and the epoch that its version needs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.events import record, timestamps
from penstock.rpc.messages import StoredUpTo
from penstock.services.writer.queries.replay_pages import epoch_of, stored
from tests.support.deliveries import event_of, line

DAY = 700  # since 2024-01-01: 2025-12-01
NOW = StoredUpTo(stream="EVENTS_HTTP", epoch=DAY, first=36_000_000_001, last=36_000_000_500)


@pytest.mark.parametrize(
    ("message", "host"),
    [("plain", "web_1"), ('{"event":{"a":1}}', 'a","event":{"x'), ("ünïcode \u2028", "host\\"), ("x", " ")],
)
def test_the_event_is_cut_out_of_its_record_byte_by_byte(message: str, host: str) -> None:
    event = replace(event_of(line(message, host=host), sequence=7), stream="EVENTS_HTTP")
    found = stored(event.key, record(event))
    assert found.event == event.raw
    assert (found.publisher, found.door, found.stream, found.sequence) == ("example", "http", "EVENTS_HTTP", 7)
    assert (found.entity, found.stored_at_ns, found.type) == (event.entity, event.stored_at_ns, "log.line.v1")


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"key":"a","time":"b"}'])
def test_what_is_no_record_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="is not one of events"):
        stored("a", broken)


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
    assert epoch_of(stored(event.key, record(event)), NOW) == epoch
