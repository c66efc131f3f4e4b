"""When the brake closes and opens, what it keeps meanwhile, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.consume import Brake
from penstock.consume.brake import AGAIN, FIRST_STOP, HOLD, LONGEST_STOP
from penstock.consume.tally import WINDOW

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
EVENTS = "EVENTS_HTTP"


class Clock:
    """Both clocks of a brake."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return NOON + self.now - 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def brake(clock: Clock) -> Brake:
    return Brake("indexer", clock=clock, wall_clock=clock.wall)


def refused(publisher: str, count: int, code: str = "SINK_REFUSED") -> list[tuple[str, str]]:
    return [(publisher, code)] * count


def done(publisher: str, count: int) -> list[tuple[str, str]]:
    return [(publisher, "")] * count


def test_a_batch_refused_from_several_publishers_closes_it_before_anything_is_dead_lettered(brake: Brake) -> None:
    assert brake.count(EVENTS, refused("one", 1000) + refused("two", 1000))
    assert brake.stopped
    assert brake.remaining == FIRST_STOP
    assert brake.keep_for == AGAIN


def test_it_counts_over_all_streams(brake: Brake) -> None:
    assert not brake.count(EVENTS, refused("one", 20))
    assert brake.count("EVENTS_NATS", refused("two", 20))


@pytest.mark.parametrize("others", [[], done("good", 50) + done("better", 50)])
def test_a_single_bad_publisher_never_closes_it(clock: Clock, brake: Brake, others: list[tuple[str, str]]) -> None:
    for _ in range(200):
        assert not brake.count(EVENTS, refused("bad", 100) + others)
        assert not brake.count("EVENTS_NATS", refused("bad", 100))
        clock.now += 1.0
    assert brake.keep_for == 0.0


def test_a_few_refusals_of_many_publishers_do_not_close_it(brake: Brake) -> None:
    assert not brake.count(EVENTS, [(f"p{n % 10}", "X" if n % 100 < 30 else "") for n in range(1000)])
    assert brake.keep_for == 0.0


def test_refusals_are_kept_for_a_moment_when_the_only_publisher_so_far_turns_bad(clock: Clock, brake: Brake) -> None:
    assert not brake.count(EVENTS, refused("one", 19))
    assert brake.keep_for == 0.0, "so few may be dead-lettered"
    brake.count(EVENTS, refused("one", 1))
    assert brake.keep_for == HOLD
    clock.now += HOLD / 2
    brake.count(EVENTS, refused("one", 500))
    assert brake.keep_for == HOLD / 2, "it is not put off"
    clock.now += HOLD / 2
    assert brake.keep_for == 0.0, "nobody else was refused: it is the publisher"
    for _ in range(100):
        clock.now += 1.0
        brake.count(EVENTS, refused("one", 50))
        assert brake.keep_for == 0.0, "and remains so"


def test_what_went_well_before_does_not_delay_it(clock: Clock, brake: Brake) -> None:
    brake.count(EVENTS, refused("poison", 1))
    for _ in range(50):
        brake.count(EVENTS, done("one", 500) + done("two", 500) + done("idle", 500 * (clock.now < 1040)))
        clock.now += 1.0
    written = 0
    while not brake.stopped:
        brake.count(EVENTS, refused("one", 1) + refused("two", 1))
        written += 2 * (brake.keep_for == 0.0)
    assert written <= 2 * 14


def test_after_its_rest_it_keeps_refusals_at_first_and_rests_longer(clock: Clock, brake: Brake) -> None:
    stops = []
    for _ in range(7):
        assert brake.count(EVENTS, refused("one", 20) + refused("two", 20))
        stops.append(brake.remaining)
        clock.now += brake.remaining
        assert not brake.stopped
        assert brake.keep_for == HOLD
        assert not brake.count(EVENTS, refused("one", 5))
        assert brake.keep_for == HOLD
    assert stops == [30.0, 60.0, 120.0, 240.0, 480.0, LONGEST_STOP, LONGEST_STOP]
    clock.now += WINDOW + 1
    brake.count(EVENTS, done("one", 20))
    assert brake.count(EVENTS, refused("one", 50) + refused("two", 50))
    assert brake.remaining == FIRST_STOP, "a minute without a closing is a new beginning"


def test_resume_opens_at_once_and_the_next_refusals_close_it_again(brake: Brake) -> None:
    changes: list[bool] = []
    brake.watch(lambda: changes.append(brake.stopped))
    brake.count(EVENTS, refused("one", 20) + refused("two", 20))
    brake.resume()
    assert not brake.stopped
    assert brake.reason() == ""
    assert brake.keep_for == HOLD
    assert brake.count(EVENTS, refused("one", 20) + refused("two", 20))
    assert brake.remaining == FIRST_STOP
    assert changes == [True, False, True]


def test_batches_that_were_in_hand_when_it_closed_do_not_close_it_again(brake: Brake) -> None:
    brake.count(EVENTS, refused("one", 20) + refused("two", 20))
    brake.count(EVENTS, refused("one", 500) + refused("two", 500))
    brake.resume()
    assert not brake.count(EVENTS, done("one", 1))
    assert not brake.stopped


def test_the_reason_says_what_was_refused_since_when_and_what_to_do(clock: Clock, brake: Brake) -> None:
    assert brake.reason() == ""
    clock.now += 3.0
    brake.count(EVENTS, refused("one", 25) + refused("two", 30, "RECORD_TOO_LARGE") + done("two", 1) + done("good", 5))
    assert brake.reason() == (
        "the brake is closed since 2026-05-04T12:00:03Z until 2026-05-04T12:00:33Z: most messages of 2 publishers were"
        " refused with RECORD_TOO_LARGE, SINK_REFUSED (two 30 of 31, one 25 of 25); they are kept, not dead-lettered."
        " Compare with earlier dead letters: `penstock dlq list --worker indexer`; roll the last deploy back or repair"
        " the sink, then: `penstock worker resume indexer --reason …`"
    )
    clock.now += FIRST_STOP
    assert brake.reason() == ""
