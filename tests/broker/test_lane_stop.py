"""A lane that stops leaves no message behind: each is acknowledged, or given back for others at once."""

from __future__ import annotations

import asyncio
import time

from penstock.consume import DeadLetters, Delivery, Lane, Outcome
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.until import BOUND


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
