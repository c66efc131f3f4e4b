"""The lease on a real bucket: one leads at a time, another within its bounds, and at once after an orderly stop."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from penstock.broker import Keys
from penstock.replay.run import BUCKET
from penstock.services.operator.lease import KEY, LEASE_SECONDS, LOOK_SECONDS, Lease
from tests.support.broker_rig import Rig
from tests.support.until import until


class Replica:
    """A lease that runs, and when it led (monotonic seconds)."""

    def __init__(self, keys: Keys, led: list[tuple[str, float, float]]) -> None:
        self.lease = Lease(keys)
        self.stop = asyncio.Event()
        self._led = led
        self.task = asyncio.create_task(self.lease.run(self.stop, self._lead))

    async def _lead(self, lost: asyncio.Event) -> None:
        began = time.monotonic()
        self.lease.led = True
        try:
            await lost.wait()
        finally:
            self._led.append((self.lease.instance, began, time.monotonic()))

    async def end(self) -> None:
        self.stop.set()
        await self.task


@pytest.fixture
async def keys(rig: Rig) -> Keys:
    return Keys(await rig.broker("operator"), BUCKET)


async def test_one_leads_and_hands_over_at_once(keys: Keys) -> None:
    led: list[tuple[str, float, float]] = []
    first = Replica(keys, led)
    await until(lambda: first.lease.leads)
    second = Replica(keys, led)
    await until(lambda: second.lease.led, what="the second knows that somebody leads")
    assert not second.lease.leads
    await first.end()
    stopped = time.monotonic()
    await until(lambda: second.lease.leads)
    assert time.monotonic() - stopped < LEASE_SECONDS / 2
    await second.end()


async def test_a_lease_that_is_not_renewed_is_taken_within_its_bounds(keys: Keys) -> None:
    led: list[tuple[str, float, float]] = []
    await keys.put(KEY, b"somebody that was killed")
    began = time.monotonic()
    replica = Replica(keys, led)
    await until(lambda: replica.lease.leads)
    assert LEASE_SECONDS <= time.monotonic() - began < LEASE_SECONDS + 3 * LOOK_SECONDS
    await replica.end()


async def test_a_leader_whose_key_another_has_written_stops(keys: Keys) -> None:
    led: list[tuple[str, float, float]] = []
    replicas = [Replica(keys, led) for _ in range(2)]
    leader = await until(lambda: next((each for each in replicas if each.lease.leads), None))
    await keys.put(KEY, b"somebody with another clock")
    await until(lambda: not leader.lease.leads)
    await until(lambda: any(each.lease.leads for each in replicas))
    for each in replicas:
        await each.end()
    times = sorted((began, ended) for _, began, ended in led)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))
