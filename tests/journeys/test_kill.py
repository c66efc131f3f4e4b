"""Under load every process and every server is killed once: what was accepted is in each store once, and only that."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fault_fleet import SERVICES, WORKERS, Site


@pytest.mark.timeout(600)
async def test_whatever_is_killed_each_accepted_event_is_once_in_each_store(site: Site) -> None:
    async with site.senders() as senders:
        await senders.more(300)
        for worker in WORKERS:
            await site.in_hand(worker)
            await site.down(f"{worker}_0")
            await senders.more(200)
            await site.again(f"{worker}_0")

        await site.down("operator_0")
        await senders.more(100)
        await site.again("operator_0")

        await site.down("ingress_0")
        await senders.in_trouble(3)
        await site.again("ingress_0")
        await senders.more(200)

        await site.down("nats")
        await senders.in_trouble(3)
        await site.again("nats")
        await senders.more(200)

        await site.in_hand("indexer")
        await site.down("elasticsearch")
        await senders.more(300)
        await site.in_hand("writer")
        await site.down("cassandra")
        await senders.more(300)
        await site.again("elasticsearch", "cassandra")
        await senders.more(300)

        # The worker and what it stands on, at the same moment.
        await asyncio.gather(site.down("nats"), site.down("indexer_0"), site.down("scorer_0"))
        await senders.in_trouble(3)
        await site.again("nats")
        await site.again("indexer_0", "scorer_0")
        await senders.more(300)
    assert await site.assert_complete() > 2_000
    await site.ready(*SERVICES)
