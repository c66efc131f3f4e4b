"""The number of requests in flight follows the store."""

from __future__ import annotations

import asyncio

from penstock.services.indexer.adaptive_concurrency import Limit


async def full_rounds(limit: Limit, rounds: int, seconds: float = 0.01) -> None:
    """As many requests at a time as may be, each answered in `seconds`."""
    for _ in range(rounds):
        width = limit.width
        for _ in range(width):
            await limit.__aenter__()
        for _ in range(width):
            limit.answered(seconds)
        for _ in range(width):
            await limit.__aexit__(None, None, None)


async def test_the_limit_grows_by_one_after_each_full_round_without_failure() -> None:
    limit = Limit(start=1, most=4)
    await full_rounds(limit, 2)
    assert limit.width == 3
    await full_rounds(limit, 5)
    assert limit.width == 4


async def test_the_limit_stays_while_it_is_not_reached() -> None:
    limit = Limit(start=2)
    for _ in range(10):
        async with limit:
            limit.answered(0.01)
    assert limit.width == 2


async def test_the_limit_halves_once_for_requests_that_fail_together() -> None:
    limit = Limit(start=8)
    for _ in range(8):
        limit.pushed_back()
    assert limit.width == 4


async def test_a_slow_answer_counts_as_back_pressure() -> None:
    limit = Limit(start=8, slow=5.0)
    async with limit:
        limit.answered(6.0)
    assert limit.width == 4


async def test_concurrency_never_exceeds_the_limit_and_a_cancelled_waiter_frees_its_slot() -> None:
    limit = Limit(start=1)
    entered: list[int] = []

    async def request(number: int, release: asyncio.Event) -> None:
        async with limit:
            entered.append(number)
            await release.wait()

    release = asyncio.Event()
    first, second, third = (asyncio.create_task(request(number, release)) for number in range(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert entered == [0]
    second.cancel()
    release.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert entered == [0, 2]
