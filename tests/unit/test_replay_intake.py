"""A lane takes what lies in its range, at the pace of the run, and little of what lies behind it."""

from __future__ import annotations

import asyncio

import pytest

from penstock.broker import encode_headers
from penstock.consume import ACK, Delivery
from penstock.replay import origin
from penstock.replay.gate import Gate
from penstock.replay.intake import END_EVERY, END_MOST, RangeIntake, RedriveIntake
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.pace import Pace
from penstock.replay.run import Range
from tests.support.clock import Clock


def delivery(
    sequence: int, headers: dict[str, str] | None = None, subject: str = "evt.00.http.shop.a.b.v1"
) -> Delivery:
    facts = ["1", str(sequence), "1", "99", "0"]
    raw = b"NATS/1.0\r\n" + encode_headers(headers) + b"\r\n" if headers else None
    return Delivery(subject, "$JS.ACK.S.c." + ".".join(facts), raw, b"{}", "S", "c", facts)


@pytest.fixture
def pace() -> Pace:
    pace = Pace()
    pace.grant(1000)
    return pace


@pytest.fixture
def gate(pace: Pace) -> Gate:
    return Gate(pace, LiveTraffic([]), asyncio.Event())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def of_range(gate: Gate, clock: Clock) -> RangeIntake:
    return RangeIntake(Range(stream="S", epoch=7, first=10, last=20, filters=(), planned=11), gate.ahead, clock)


def test_the_last_message_is_handled_and_the_next_is_only_acknowledged(of_range: RangeIntake) -> None:
    last = delivery(20)
    assert of_range.refuse(last) is None
    assert last.epoch == 7
    assert of_range.refuse(delivery(21)) == ACK


def test_as_much_is_fetched_ahead_as_the_pace_allows_and_nothing_in_a_pause(of_range: RangeIntake, pace: Pace) -> None:
    assert of_range.most() == 1000
    pace.grant(0.2)
    assert of_range.most() == 1
    pace.grant(0)
    assert of_range.most() == 0


def test_behind_the_end_little_is_asked_for_until_a_message_of_the_range_comes_again(
    of_range: RangeIntake, clock: Clock
) -> None:
    of_range.refuse(delivery(21))
    assert of_range.most() == 0
    clock.now += END_EVERY + 0.01
    assert of_range.most() == END_MOST
    of_range.refuse(delivery(22))
    assert of_range.most() == 0
    of_range.refuse(delivery(15))
    assert of_range.most() > END_MOST


@pytest.fixture
def redriven(gate: Gate) -> RedriveIntake:
    return RedriveIntake("mine", gate.ahead, lambda run: run == "over")


def message(run: str) -> Delivery:
    headers = origin.headers(run, stream="EVENTS_HTTP", sequence=4, stored_at_ns=5)
    return delivery(1, headers, origin.subject("indexer", "evt.00.http.shop.a.b.v1"))


def test_a_message_of_the_run_is_taken_as_its_original(redriven: RedriveIntake) -> None:
    mine = message("mine")
    assert redriven.refuse(mine) is None
    assert (mine.stream, mine.sequence) == ("EVENTS_HTTP", 4)


@pytest.mark.parametrize(("run", "verb"), [("over", b"+ACK"), ("next", b"-NAK")])
def test_a_message_of_another_run_is_dropped_only_when_that_is_over(
    redriven: RedriveIntake, run: str, verb: bytes
) -> None:
    refused = redriven.refuse(message(run))
    assert refused is not None
    assert refused.startswith(verb)


def test_a_message_without_an_origin_is_terminated(redriven: RedriveIntake) -> None:
    assert redriven.refuse(delivery(3, subject="replay.indexer.x")) == b"+TERM no origin"
