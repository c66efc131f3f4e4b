"""What dead letters explain of the events that a store lacks, and of which times events are compared at all."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.broker import StreamInfo
from penstock.events import timestamps
from penstock.rpc.messages import DeadLetterHead
from penstock.services.operator.reconcile.accepted import EXPIRING_NS, retained_since, whole_ms
from penstock.services.operator.reconcile.refusals import Refusals, RefusedEvents

DAY_NS = 86_400 * 1_000_000_000
NOW_NS = timestamps.parse("2026-11-29T12:00:00Z")


def head(first: int, last: int, count: int, publisher: str = "shop") -> DeadLetterHead:
    return DeadLetterHead(
        sequence=1,
        stored_at="2026-11-29T12:00:00Z",
        state="open",
        worker="indexer",
        code="EVENT_INVALID",
        reason="",
        form="range" if count > 1 else "full",
        type="logs",
        publisher=publisher,
        subject="evt",
        messages=count,
        origin_stream="EVENTS_HTTP",
        origin_sequence=first,
        origin_last=last,
    )


def refused_of(heads: list[DeadLetterHead], sequences: range) -> RefusedEvents:
    refusals, refused = Refusals(), RefusedEvents()
    for each in heads:
        refusals.add(each)
    refusals.merge()
    for sequence in sequences:
        span = refusals.span("EVENTS_HTTP", "shop", sequence)
        if refusals.has("EVENTS_HTTP", sequence):
            refused.add(sequence, None)
        elif span is not None:
            refused.add(sequence, span)
    return refused


@pytest.mark.parametrize(
    ("heads", "number"),
    [
        ([head(101, 856, 256)], 256),  # 756 events of the publisher lie within
        ([head(900, 2000, 256)], 101),  # no more than there are
        ([head(101, 856, 256), head(400, 400, 1)], 257),
        ([head(500, 700, 20), head(101, 856, 256), head(850, 900, 10)], 286),  # overlap: one span
        ([head(1, 50, 20), head(101, 200, 30)], 50),
        ([head(0, 0, 5), head(1001, 1200, 9), head(101, 856, 256, publisher="other")], 0),
    ],
)
def test_a_range_explains_no_more_events_than_it_counted(heads: list[DeadLetterHead], number: int) -> None:
    assert refused_of(heads, range(1, 1001)).number == number


def test_messages_that_are_no_events_explain_no_missing_event() -> None:
    refusals, refused = Refusals(), RefusedEvents()
    for each in (head(1, 10, 3), head(4, 4, 1)):
        refusals.add(each)
    refusals.merge()
    for sequence in (2, 4, 8, 11):  # 4 has a dead letter of its own, and 11 none
        refusals.leave_out("EVENTS_HTTP", "shop", sequence)
    for sequence in (1, 3, 5):
        refused.add(sequence, refusals.span("EVENTS_HTTP", "shop", sequence))
    assert refused.number == 1


def test_of_many_ranges_the_one_that_covers_a_message_is_found() -> None:
    refusals = Refusals()
    for first in range(200_000, 0, -1000):
        refusals.add(head(first, first + 4, 2))
    refusals.merge()
    found = [refusals.span("EVENTS_HTTP", "shop", sequence) for sequence in (1000, 1004, 200_000)]
    assert [(each.first, each.last) if each else None for each in found] == [
        (1000, 1004),
        (1000, 1004),
        (200_000, 200_004),
    ]
    assert [refusals.span("EVENTS_HTTP", "shop", sequence) for sequence in (1, 1005, 200_005)] == [None] * 3


def test_times_are_compared_by_whole_milliseconds() -> None:
    assert whole_ms(1_123_456, 2_000_001) == (1_000_000, 3_000_000)
    assert whole_ms(1_000_000, 2_000_000) == (1_000_000, 2_000_000)


def stream(created: int, first_seq: int = 1, messages: int = 9, **config: Any) -> StreamInfo:
    first = timestamps.text(created + DAY_NS)
    return StreamInfo("EVENTS_HTTP", 1, first_seq, 10, messages, 0, first, timestamps.text(created), config)


KEPT = {"max_age": 7 * DAY_NS}
MONTH_AGO, DAY_AGO = NOW_NS - 30 * DAY_NS, NOW_NS - DAY_NS


@pytest.mark.parametrize(
    ("info", "since"),
    [
        (stream(DAY_AGO, **KEPT), DAY_AGO),
        (stream(MONTH_AGO, 5, **KEPT), NOW_NS - 7 * DAY_NS + EXPIRING_NS),
        (stream(MONTH_AGO, 11, 0, **KEPT), NOW_NS - 7 * DAY_NS + EXPIRING_NS),  # all of it has expired
        (stream(MONTH_AGO), MONTH_AGO),
        (stream(MONTH_AGO, 5), MONTH_AGO + DAY_NS),
    ],
)
def test_a_stream_holds_everything_since_it_was_made_or_since_what_is_about_to_expire(
    info: StreamInfo, since: int
) -> None:
    assert retained_since([info], NOW_NS) == since
    assert retained_since([info, stream(MONTH_AGO)], NOW_NS) == since
