"""What one publisher can take of the room for dead letters, by a clock of the test's own."""

from __future__ import annotations

from penstock.consume.dead_letter_shares import (
    HOUR,
    MINUTE,
    MOST_PUBLISHERS,
    OTHERS,
    DeadLetterShares,
    Share,
)
from penstock.contracts import load

LETTER, RANGE = 4096, 2048  # bytes


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


def test_thirty_days_of_one_poison_publisher_take_half_of_the_stream_at_most() -> None:
    """At every worker of events, with one replica each."""
    contract = load().streams["DLQ"]
    clock = Clock()
    all = DeadLetterShares(Share(), clock)
    taken = 0
    for _ in range(30 * 24 * 60):
        clock.now += MINUTE
        while all.full("a", LETTER):
            taken += LETTER
        while all.range("a"):
            taken += RANGE
    workers = sum(name in ("indexer", "writer", "scorer") for name in load().streams["EVENTS_NATS"].consumers)
    assert workers == 3
    assert taken * workers <= contract.max_bytes / 2
