"""The rate of a run: starts slowly, yields to live traffic, comes back, and is shared out among replicas."""

from __future__ import annotations

from itertools import pairwise

import pytest

from penstock.rpc.messages import ReplayProgress
from penstock.services.operator.replay.governor import Governor, Load, shares, slowed

RATE, TICK = 1000.0, 0.5


def ticks(governor: Governor, load: Load, count: int) -> list[float]:
    return [governor.tick(RATE, load, "writer", TICK)[0] for _ in range(count)]


def test_a_run_starts_at_a_tenth_and_doubles_every_two_seconds() -> None:
    governor = Governor()
    rate, why = governor.tick(RATE, Load(), "writer", 0.0)
    assert (round(rate), why) == (100, "starting slowly")
    assert ticks(governor, Load(), 4)[-1] == pytest.approx(200.0)
    assert ticks(governor, Load(), 12)[-1] == RATE
    assert governor.tick(RATE, Load(), "writer", TICK) == (RATE, "")


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (Load(pending=1001), "live writer has 1,001 messages waiting, more than 2 s of its own work"),
        (Load(pending=9000, per_second=4000.0), "live writer has 9,000 messages waiting"),
        (Load(behind=2.5), "live writer is 2.5 s behind"),
        (Load(push_back=3), "the sink of writer refused 3 requests for now"),
    ],
)
def test_a_run_yields_and_says_to_what(load: Load, reason: str) -> None:
    governor = Governor()
    ticks(governor, Load(), 20)
    assert governor.tick(RATE, load, "writer", TICK)[0] == pytest.approx(RATE / 2)
    assert governor.tick(RATE, load, "writer", TICK)[1].startswith(f"braked: {reason}")
    assert ticks(governor, load, 8)[-1] == 0.0


@pytest.mark.parametrize("load", [Load(pending=1000), Load(pending=7999, per_second=4000.0), Load(behind=2.0)])
def test_what_live_traffic_works_off_in_two_seconds_is_no_lag(load: Load) -> None:
    assert ticks(Governor(), load, 20)[-1] == RATE


def test_a_run_comes_back_evenly_after_the_brake() -> None:
    governor = Governor()
    ticks(governor, Load(behind=9.0), 10)
    found = ticks(governor, Load(), 20)
    steps = [later - earlier for earlier, later in pairwise(found)]
    assert steps == pytest.approx([RATE * 0.1 * TICK] * len(steps))
    assert found[-1] == RATE


def test_a_replay_that_takes_turns_with_live_traffic_says_so() -> None:
    assert slowed(0.62, "writer", 120.0, RATE) == "live writer is busy 62% of the time, and goes first"
    assert slowed(0.62, "writer", 950.0, RATE) == slowed(0.05, "writer", 120.0, RATE) == ""


def test_reports_of_older_and_newer_workers_are_read() -> None:
    report = ReplayProgress.read({"run": "nightly", "instance": "indexer-1", "handled": 7, "of_a_newer_release": 1})
    assert (report.handled, report.live_busy) == (7, 0.0)


def test_a_replica_that_needs_little_leaves_the_rest_to_others() -> None:
    assert shares(RATE, {}) == {}
    assert shares(RATE, {"one": 0.0}) == {"one": RATE}
    assert shares(RATE, {"one": 0.0, "two": 0.0}) == {"one": 500.0, "two": 500.0}
    assert shares(RATE, {"one": 480.0, "two": 520.0}) == {"one": 500.0, "two": 500.0}
    found = shares(RATE, {"busy": 500.0, "idle": 8.0})
    assert found["idle"] == pytest.approx(135.0)
    assert sum(found.values()) == pytest.approx(RATE)


@pytest.mark.parametrize("used", [[0.0, 10.0, 90.0, 900.0], [1.0] * 7, [250.0] * 4, [0.0, 1e6]])
def test_shares_never_exceed_the_rate(used: list[float]) -> None:
    found = shares(RATE, {str(number): each for number, each in enumerate(used)})
    assert sum(found.values()) <= RATE * (1 + 1e-9)
    assert all(each > 0 for each in found.values())
