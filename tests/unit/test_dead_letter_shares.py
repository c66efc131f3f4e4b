"""What one publisher can take of the room for dead letters, by a clock of the test's own."""

from __future__ import annotations

import pytest

from penstock.consume.dead_letter_shares import (
    HOUR,
    MINUTE,
    MOST_PUBLISHERS,
    OTHERS,
    DeadLetterShares,
    Share,
)
from penstock.consume.waiting_drops import MOST as MOST_WAITING
from penstock.contracts import load

LETTER, RANGE = 4096, 2048  # bytes
DAY = 24 * HOUR
DLQ = load().streams["DLQ"]
WORKERS = 3  # of events, with one replica each


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shares(clock: Clock, **members: float) -> DeadLetterShares:
    return DeadLetterShares(Share(**members), clock)  # type: ignore[arg-type]


def test_full_dead_letters_are_limited_by_number_in_each_minute() -> None:
    clock = Clock()
    all = shares(clock, full_per_minute=3)
    assert [all.full("a", 1) for _ in range(5)] == [True, True, True, False, False]
    assert all.full("b", 1), "another publisher has its own share"
    assert all.used_up(MINUTE) == ["a"]
    clock.now += MINUTE
    assert all.full("a", 1)
    assert all.used_up(MINUTE) == []


def test_full_dead_letters_are_limited_by_bytes_that_come_back_slowly() -> None:
    clock = Clock()
    all = shares(clock, full_bytes=1000, full_bytes_an_hour=100)
    assert all.full("a", 900)
    assert not all.full("a", 200)
    assert all.full("a", 100), "a smaller one still fits"
    clock.now += HOUR
    assert not all.full("a", 101)
    assert all.full("a", 100)


def test_ranges_come_one_by_one_and_then_at_their_interval() -> None:
    clock = Clock()
    all = shares(clock, ranges=2, range_every=60.0, apart=1.0)
    assert [all.range("a"), all.range("a")] == [True, False]
    clock.now += 1
    assert all.range("a")
    clock.now += 1
    assert not all.range("a")
    clock.now += 60
    assert all.range("a")
    assert not all.range("a")


def test_publishers_beyond_the_table_have_one_share_in_common_until_there_is_room() -> None:
    clock = Clock()
    all = shares(clock, full_per_minute=1)
    for number in range(MOST_PUBLISHERS):
        assert all.full(f"p{number}", 1)
    assert all.full("late", 1)
    assert not all.full("later", 1)
    assert all.counted_as("later") == OTHERS
    clock.now += HOUR
    assert all.full("late", 1)
    assert all.full("later", 1)
    assert not all.full("later", 1)
    assert all.counted_as("later") == "later"


def poison(rate: int, days: int) -> list[int]:
    """Bytes of DLQ at the end of each day that a publisher has taken through one process, of which `rate` messages a
    second fail, for one reason and on one stream."""
    clock, share = Clock(), Share()
    all = DeadLetterShares(share, clock)
    taken, waiting, ends = 0, 0, []
    for minute in range(1, days * 24 * 60 + 1):
        clock.now += MINUTE
        failed = rate * 60
        while failed and all.full("a", LETTER):
            taken, failed = taken + LETTER, failed - 1
        waiting += failed
        while waiting and (by_share := all.range("a")) | (waiting > share.waiting):
            if not by_share:
                all.range_stored("a")
            taken, waiting = taken + RANGE, waiting - min(waiting, share.waiting + 1)
        if minute % (24 * 60) == 0:
            ends.append(taken)
    return ends


def test_thirty_days_of_34_bad_messages_a_second_take_half_of_the_stream_at_most() -> None:
    streams = load().streams
    assert sum(name in ("indexer", "writer", "scorer") for name in streams["EVENTS_NATS"].consumers) == WORKERS
    assert DLQ.max_age.total_seconds() == 30 * DAY
    assert poison(34, 30)[-1] * WORKERS <= DLQ.max_bytes / 2


@pytest.mark.parametrize(("rate", "day"), [(100, None), (256, 14), (1000, 4)])
def test_a_faster_flood_fills_the_stream_on_the_day_that_is_documented(rate: int, day: int | None) -> None:
    taken = [each * WORKERS for each in poison(rate, day or 30)]
    assert next((day for day, each in enumerate(taken, 1) if each > DLQ.max_bytes), None) == day


def test_what_waits_leaves_room_on_every_consumer_of_a_worker() -> None:
    """One publisher must not hold up the others: two fifths of what a consumer delivers unsettled are left."""
    assert Share().waiting <= MOST_WAITING
    for stream in load().streams.values():
        for name, consumer in stream.consumers.items():
            if name.removeprefix("replay_") in ("indexer", "writer", "scorer"):
                assert 0.6 * consumer.max_ack_pending >= MOST_WAITING, (stream, name)
