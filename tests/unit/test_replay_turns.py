"""Beside live traffic a replay rests by how busy that is, begins in its gaps, and never waits for longer than a second
unless live messages already wait for each other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from penstock.consume import Delivery, Lane
from penstock.consume.in_flight import BUSY, InFlight
from penstock.replay.live_traffic import SMOOTHING, LiveTraffic
from penstock.replay.turns import LARGE, LONGEST, SMALL, Turns
from tests.support.clock import Clock


@dataclass
class LiveLane:
    """What is asked of a lane."""

    busy_seconds: float = 0.0
    at_work: bool = False
    batch_waiting: bool = False
    braked: bool = False
    behind: float = 0.0
    newest: Any = None


@dataclass
class Small:
    """What is asked of a delivery."""

    data: bytes = b""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes() -> list[LiveLane]:
    return [LiveLane(), LiveLane()]


@pytest.fixture
def live(lanes: list[LiveLane], clock: Clock) -> LiveTraffic:
    return LiveTraffic(cast("list[Lane]", lanes), clock)


async def test_all_lanes_are_idle_for_the_product_of_what_each_is(
    live: LiveTraffic, lanes: list[LiveLane], clock: Clock
) -> None:
    for _ in range(20):
        clock.now += 0.5
        lanes[0].busy_seconds += 0.25
        lanes[1].busy_seconds += 0.1
        await live.look()
    assert live.idle == pytest.approx(0.5 * 0.8, abs=1e-3)
    clock.now += 0.5
    await live.look()
    assert live.idle == pytest.approx(0.4 + SMOOTHING * 0.6, abs=1e-3)


@pytest.mark.parametrize(("idle", "rest"), [(1.0, 0.0), (0.5, 0.03), (0.1, 0.99), (0.05, LONGEST), (0.0, LONGEST)])
async def test_a_replay_is_at_work_for_the_square_of_the_idle_share(
    live: LiveTraffic, clock: Clock, idle: float, rest: float
) -> None:
    turns = Turns(live, clock)
    live.idle = idle
    assert turns.remaining == 0
    turns.ended(0.01)
    assert turns.remaining == pytest.approx(rest)


@pytest.mark.parametrize(("idle", "portion"), [(1.0, LARGE), (0.81, LARGE), (0.8, SMALL), (0.0, SMALL)])
async def test_portions_are_larger_beside_a_trickle(live: LiveTraffic, clock: Clock, idle: float, portion: int) -> None:
    live.idle = idle
    assert Turns(live, clock).portion == portion


def test_a_trickle_does_not_make_a_lane_busy_however_slow_its_sink_is() -> None:
    in_flight = InFlight()
    batches = [[cast(Delivery, Small())] * size for size in (5, BUSY - 6, 1)]
    in_flight.take(batches[0])
    in_flight.take(batches[1])
    assert in_flight.busy_seconds == 0.0
    in_flight.take(batches[2])
    before = in_flight.busy_seconds
    while in_flight.busy_seconds == before:
        pass
    in_flight.release(batches[0])
    after = in_flight.busy_seconds
    assert after > before
    in_flight.release(batches[1])
    in_flight.release(batches[2])
    assert in_flight.busy_seconds == after


async def test_a_turn_begins_in_a_gap_or_after_a_second(live: LiveTraffic, lanes: list[LiveLane], clock: Clock) -> None:
    turns, stop = Turns(live, clock), asyncio.Event()
    live.idle = 1.0
    turns.ended(0.01)
    lanes[0].at_work = True
    waiting = asyncio.create_task(turns.wait(stop))
    await asyncio.sleep(0)
    assert not waiting.done()
    lanes[0].at_work = False
    await waiting
    lanes[0].at_work = True
    clock.now += LONGEST
    await turns.wait(stop)  # the floor
    lanes[1].batch_waiting = True
    waiting = asyncio.create_task(turns.wait(stop))
    await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    await waiting


async def test_lanes_whose_brake_is_closed_hold_nobody_up(
    live: LiveTraffic, lanes: list[LiveLane], clock: Clock
) -> None:
    turns = Turns(live, clock)
    turns.ended(0.0)
    lanes[0].at_work = lanes[0].batch_waiting = lanes[0].braked = True
    clock.now += LONGEST / 2
    live.idle = 1.0
    turns.ended(0.0)
    await turns.wait(asyncio.Event())
