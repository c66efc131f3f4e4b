"""A batch is ready when it is full by number or bytes, or when its first message has waited long enough."""

from __future__ import annotations

import asyncio

from penstock.consume import Delivery, LaneOptions, Limits
from penstock.consume.batcher import Batcher

BOUND = 5.0  # seconds


def delivery(data: bytes = b"x") -> Delivery:
    return Delivery("evt.00.http.shop.log.line.v1", "", None, data, "S", "c", ["1", "1", "1", "1", "0"])


async def test_a_full_batch_does_not_wait() -> None:
    wake = asyncio.Event()
    batcher = Batcher(LaneOptions(batch=3, linger=60.0), wake.set)
    for _ in range(2):
        batcher.add(delivery())
    assert not batcher.ready
    assert not wake.is_set()
    for _ in range(2):
        batcher.add(delivery())
    assert batcher.ready
    assert wake.is_set()
    assert len(batcher.next()) == 3
    assert (len(batcher), batcher.bytes, batcher.ready) == (1, 1, False)
    batcher.close()


async def test_bytes_fill_a_batch_too_and_a_message_of_any_size_makes_one() -> None:
    batcher = Batcher(LaneOptions(linger=60.0, limits=Limits(messages=100, batch_bytes=10)), lambda: None)
    for size in (4, 4, 4, 50):
        batcher.add(delivery(bytes(size)))
    assert [[len(each.data) for each in batcher.next()] for _ in range(3)] == [[4, 4], [4], [50]]
    assert batcher.bytes == 0
    batcher.close()


async def test_a_batch_that_is_not_full_is_ready_after_its_linger() -> None:
    wake = asyncio.Event()
    batcher = Batcher(LaneOptions(linger=0.02), wake.set)
    batcher.add(delivery())
    assert not batcher.ready
    async with asyncio.timeout(BOUND):
        await wake.wait()
    assert batcher.ready
    assert len(batcher.next()) == 1


async def test_the_linger_follows_the_load() -> None:
    wake = asyncio.Event()
    batcher = Batcher(LaneOptions(batch=1000, linger=0.02, linger_most=0.05), wake.set)
    seen = []
    for count in (1, 200, 1):
        wake.clear()
        for _ in range(count):
            batcher.add(delivery())
        async with asyncio.timeout(BOUND):
            await wake.wait()
        batcher.next()
        seen.append(batcher.linger)
    assert seen == [0.02, 0.05, 0.02]
