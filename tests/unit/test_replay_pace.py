"""Events start at the allowed rate, none without an allowance, and batches stay whole."""

from __future__ import annotations

import asyncio

import pytest

from penstock.replay.pace import BURST, LEASE, Pace
from tests.support.clock import Clock
from tests.support.until import BOUND

TURNS = 5  # turns of the event loop in which whatever need not wait has started


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


async def turns() -> None:
    """Lets every task run that waits neither for time nor for an allowance."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def starts(pace: Pace, events: int) -> bool:
    """Whether so many may start now; otherwise they are not taken."""
    task = asyncio.create_task(pace.take(events))
    await turns()
    if task.done():
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


async def test_nothing_starts_without_an_allowance(pace: Pace) -> None:
    assert pace.rate == 0
    assert not await starts(pace, 1)


async def test_the_mean_is_the_allowed_rate_whatever_the_size_of_batches(pace: Pace, clock: Clock) -> None:
    taken = 0
    for tenth in range(100):
        pace.grant(50)
        while taken < 1000 and await starts(pace, 7):
            taken += 7
        clock.now += 0.1
        assert taken <= 50 * tenth / 10 + 50 * BURST + 7
    assert taken >= 50 * 9.9 - 7


async def test_a_batch_larger_than_the_rate_starts_whole_and_delays_the_next(pace: Pace, clock: Clock) -> None:
    pace.grant(100, seconds=60)
    assert await starts(pace, 1000)
    clock.now += 9.9
    assert not await starts(pace, 1)
    clock.now += 0.2
    assert await starts(pace, 1)


async def test_a_lower_rate_does_not_make_the_next_batch_later(pace: Pace, clock: Clock) -> None:
    pace.grant(3000)
    assert await starts(pace, 3000)
    clock.now += LEASE / 6
    pace.grant(0)
    pace.grant(300)
    clock.now += 0.4
    assert not await starts(pace, 1)
    clock.now += 0.2
    assert await starts(pace, 300)
    pace.grant(3000)
    clock.now += 0.05
    assert not await starts(pace, 1)


async def test_an_allowance_runs_out(pace: Pace, clock: Clock) -> None:
    pace.grant(10)
    clock.now += LEASE
    assert pace.rate == 0
    assert not await starts(pace, 1)
    pace.grant(10)
    assert await starts(pace, 1)


async def test_time_without_an_allowance_saves_nothing_up(pace: Pace, clock: Clock) -> None:
    pace.grant(10)
    clock.now += 1000
    pace.grant(10)
    taken = 0
    while await starts(pace, 1):
        taken += 1
    assert taken == 10 * BURST // 1 + 1


async def test_who_waits_starts_as_soon_as_the_pause_ends(pace: Pace) -> None:
    pace.grant(0)
    waiting = asyncio.create_task(pace.take(5))
    await turns()
    assert not waiting.done()
    pace.grant(1000)
    assert await asyncio.wait_for(waiting, BOUND)


async def test_a_pause_holds_who_waits_for_his_turn(pace: Pace, clock: Clock) -> None:
    pace.grant(20)
    await pace.take(1)
    waiting = asyncio.create_task(pace.take(1))  # due in a twentieth of a second
    await turns()
    pace.grant(0)
    clock.now += 1.0
    pace.grant(0)
    await turns()
    assert not waiting.done()
    waiting.cancel()


async def test_takers_start_in_their_order(pace: Pace, clock: Clock) -> None:
    started: list[str] = []

    async def taker(name: str, events: int) -> None:
        await pace.take(events)
        started.append(name)

    tasks = [asyncio.create_task(taker(name, events)) for name, events in (("large", 500), ("small", 1), ("last", 1))]
    await turns()
    pace.grant(1000)
    await turns()
    assert started == ["large"]
    clock.now += 0.6
    pace.grant(1000)
    await asyncio.gather(*tasks)
    assert started == ["large", "small", "last"]
