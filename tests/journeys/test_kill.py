"""Under load every process and every server is killed once: what was accepted is in each store once, and only that."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.full_stack import SERVICES, WORKERS, FullStack


@pytest.mark.timeout(600)
async def test_after_any_kill_each_accepted_event_is_once_in_each_store(full_stack: FullStack) -> None:
    async with full_stack.senders() as senders:
        await senders.more(300)
        for worker in WORKERS:
            await full_stack.in_hand(worker)
            await full_stack.down(f"{worker}_0")
            await senders.more(200)
            await full_stack.again(f"{worker}_0")

        await full_stack.down("operator_0")
        await senders.more(100)
        await full_stack.again("operator_0")

        await full_stack.down("ingress_0")
        await senders.see_failures(3)
        await full_stack.again("ingress_0")
        await senders.more(200)

        await full_stack.down("nats")
        await senders.see_failures(3)
        await full_stack.again("nats")
        await senders.more(200)

        await full_stack.in_hand("indexer")
        await full_stack.down("elasticsearch")
        await senders.more(300)
        await full_stack.in_hand("writer")
        await full_stack.down("cassandra")
        await senders.more(300)
        await full_stack.again("elasticsearch", "cassandra")
        await senders.more(300)

        # The worker and what it stands on, at the same moment.
        await asyncio.gather(full_stack.down("nats"), full_stack.down("indexer_0"), full_stack.down("scorer_0"))
        await senders.see_failures(3)
        await full_stack.again("nats")
        await full_stack.again("indexer_0", "scorer_0")
        await senders.more(300)
    assert await full_stack.assert_complete() > 2_000
    await full_stack.ready(*SERVICES)
