"""A lane that stops leaves no message behind: each is acknowledged, or given back for others at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from penstock.consume import DeadLetters, Delivery, Done, Drop, Lane, LaneOptions, Outcome, Share
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.until import BOUND, until


async def test_lanes_that_stop_while_messages_trickle_in_leave_none_unsettled(rig: Rig) -> None:
    await rig.consumer()
    indexer, ingress = await rig.broker("indexer"), await rig.broker("ingress")
    letters, sink, stored, flowing = DeadLetters(indexer, "indexer"), Sink(), 0, True

    async def trickle() -> None:
        """Too slow to fill a pull, and without a pause."""
        nonlocal stored
        while flowing:
            await ingress.publish(subject(), b"%d" % stored)
            stored += 1

    async def run_until_first_batch() -> None:
        stop = asyncio.Event()

        async def stop_after(batch: list[Delivery]) -> list[Outcome]:
            stop.set()
            return await sink.handle(batch)

        await Lane(indexer, STREAM, CONSUMER, stop_after, dead_letters=letters).run(stop)

    sending = [asyncio.create_task(trickle()) for _ in range(8)]
    async with asyncio.timeout(2 * BOUND):
        for _ in range(8):
            await run_until_first_batch()
        flowing = False
        await asyncio.gather(*sending)
    began = time.monotonic()
    async with Working(Lane(indexer, STREAM, CONSUMER, sink.handle, dead_letters=letters)):
        await rig.settled()
    assert time.monotonic() - began < 15, "the consumer's ack_wait is 30 s"
    assert len({delivery.sequence for delivery in sink.seen}) == stored


@pytest.mark.parametrize("cut_short", [False, True], ids=["grace is over", "cancelled meanwhile"])
async def test_a_batch_that_does_not_end_in_time_is_given_back(rig: Rig, cut_short: bool) -> None:
    await rig.consumer()
    indexer = await rig.broker("indexer")
    letters, sink, started, stop = DeadLetters(indexer, "indexer"), Sink(), asyncio.Event(), asyncio.Event()

    async def never(_: list[Delivery]) -> list[Outcome]:
        started.set()
        await asyncio.Event().wait()
        return []

    stored = await rig.store([b"%d" % n for n in range(30)])
    stuck = Lane(indexer, STREAM, CONSUMER, never, LaneOptions(batch=10, in_flight=1), dead_letters=letters)
    running = asyncio.create_task(stuck.run(stop, grace=0.1))
    async with asyncio.timeout(BOUND):
        await started.wait()
        await until(lambda: stuck.held == 30)
        stop.set()
        if cut_short:
            await rig.core.flush()  # the lane has begun to stop
            running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    began = time.monotonic()
    async with Working(Lane(indexer, STREAM, CONSUMER, sink.handle, dead_letters=letters)):
        await rig.settled()
    assert time.monotonic() - began < 5, "the consumer's ack_wait is 30 s"
    assert sorted(delivery.sequence for delivery in sink.seen) == stored


async def test_messages_of_a_range_that_is_not_settled_in_time_are_given_back(rig: Rig) -> None:
    await rig.consumer()
    indexer = await rig.broker("indexer")
    sink, started, stop = Sink(), asyncio.Event(), asyncio.Event()
    letters = DeadLetters(indexer, "indexer", share=Share(full_per_minute=0, ranges=0, waiting=25))

    async def record(settled: Sequence[tuple[Delivery, Outcome]]) -> None:
        if any(isinstance(outcome, Drop) for _, outcome in settled):
            started.set()
            await asyncio.Event().wait()

    for publisher in ("shop", "till", "billing"):  # others are well, or the brake would keep everything
        await rig.store([b"good"], publisher=publisher)
    stored = await rig.store([b"bad"] * 30, publisher="flood")
    options = LaneOptions(batch=10, in_flight=1)
    refusing = Sink(lambda each: Drop("SINK_REFUSED", "no") if each.data == b"bad" else Done())
    stuck = Lane(indexer, STREAM, CONSUMER, refusing.handle, options, dead_letters=letters, record=record)
    running = asyncio.create_task(stuck.run(stop, grace=0.1))
    async with asyncio.timeout(BOUND):
        await started.wait()  # the last batch has stored the range, and most of its messages are no longer in flight
        assert len(letters.waiting) == 0
        stop.set()
        await running
    began = time.monotonic()
    async with Working(Lane(indexer, STREAM, CONSUMER, sink.handle, dead_letters=letters)):
        await rig.settled()
    assert time.monotonic() - began < 5, "the consumer's ack_wait is 30 s"
    assert sorted(delivery.sequence for delivery in sink.seen) == stored
