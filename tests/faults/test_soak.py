"""Load, and faults as a seed tells them → each accepted event is once in each store, and nothing in the dead letters.

A short round here; `make soak MINUTES=30` runs it long, `make soak SEED=…` tells a story again.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest

from tests.faults.faults import Faults
from tests.journeys.site import SERVICES, Site

MINUTES = float(os.environ.get("SOAK_MINUTES") or 0)
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
ROUND = 10  # faults of a short round
SPAN = 300.0  # seconds of faults before the stores are counted


@pytest.mark.timeout(MINUTES * 60 * 2 + 600)
async def test_every_event_survives_the_faults_of_a_seed(site: Site) -> None:
    site.note(f"SOAK_SEED={SEED}")
    faults = Faults(site, SEED)
    end = time.monotonic() + MINUTES * 60
    try:
        await faults.open()
        count = await spell(site, faults, SPAN if MINUTES else None)
        while time.monotonic() < end:
            count += await spell(site, faults, min(SPAN, end - time.monotonic()))
        site.note(f"{count} faults with SOAK_SEED={SEED}, {len(site.accepted)} events")
    finally:
        await faults.close()


async def spell(site: Site, faults: Faults, seconds: float | None) -> int:
    """Faults under load for so long, or ROUND of them; then everything is counted. Returns how many they were."""
    count = 0
    end = time.monotonic() + (seconds or 0.0)
    async with site.senders(gap=0.5) as senders:
        while time.monotonic() < end if seconds else count < ROUND:
            told = [faults.next() for _ in range(2 if faults.two_at_once() else 1)]
            site.note(" and ".join(name for name, _ in told))
            await asyncio.gather(*(fault() for _, fault in told))
            count += len(told)
            await senders.more(faults.events_before())
    await site.ready(*SERVICES)
    await site.assert_complete()
    return count
