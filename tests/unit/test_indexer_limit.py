"""The number of requests in flight follows the store."""

from __future__ import annotations

import asyncio

from penstock.services.indexer.limit import Limit


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


async def test_it_widens_by_one_for_each_full_clean_round_up_to_its_most() -> None:
    limit = Limit(start=1, most=4)
    await full_rounds(limit, 2)
    assert limit.width == 3
    await full_rounds(limit, 5)
    assert limit.width == 4


async def test_it_stays_while_it_is_not_full() -> None:
    limit = Limit(start=2)
    for _ in range(10):
        async with limit:
            limit.answered(0.01)
    assert limit.width == 2


async def test_it_halves_once_for_all_requests_that_fail_together() -> None:
    limit = Limit(start=8)
    for _ in range(8):
        limit.pushed_back()
    assert limit.width == 4


async def test_a_slow_answer_counts_as_a_push_back() -> None:
    limit = Limit(start=8, slow=5.0)
    async with limit:
        limit.answered(6.0)
    assert limit.width == 4


async def test_no_more_pass_than_it_is_wide_and_who_gives_up_leaves_no_gap() -> None:
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
