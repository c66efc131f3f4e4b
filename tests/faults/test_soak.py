"""Load, and the faults of a seed → each accepted event is once in each store, and nothing in the dead letters.

A short round here, of ten kills and what comes between them; `make soak MINUTES=30 KILLS=200` goes on until there were
as many and so much time has passed, `make soak SEED=…` repeats a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import time

import pytest

from tests.support.faults import Faults
from tests.support.full_stack import SERVICES, FullStack

MINUTES = float(os.environ.get("SOAK_MINUTES") or 0)
SEED = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1_000_000))
KILLS = max(1, int(os.environ.get("SOAK_KILLS") or 10))  # of services and servers, at the least
SPAN = 300.0  # seconds of faults before the stores are counted


@pytest.mark.timeout(600 + MINUTES * 60 * 2 + KILLS * 60)
async def test_every_event_survives_the_faults_of_a_seed(full_stack: FullStack) -> None:
    full_stack.note(f"SOAK_SEED={SEED}")
    faults = Faults(full_stack, SEED)
    end = time.monotonic() + MINUTES * 60
    try:
        await faults.open()
        while time.monotonic() < end or faults.kills < KILLS:
            await period(full_stack, faults, end)
            full_stack.note(
                f"{faults.started} faults, {faults.kills} of them kills, with SOAK_SEED={SEED}: "
                f"{len(full_stack.accepted)} events are in their stores"
            )
    finally:
        await faults.close()


async def period(full_stack: FullStack, faults: Faults, end: float) -> None:
    """Faults under load for SPAN seconds, or until there were enough; then everything is counted."""
    pause = time.monotonic() + SPAN
    async with full_stack.senders(gap=0.5) as senders:
        while (now := time.monotonic()) < pause and (now < end or faults.kills < KILLS):
            chosen = [faults.next() for _ in range(2 if faults.two_at_once() else 1)]
            full_stack.note(" and ".join(name for name, _ in chosen))
            await asyncio.gather(*(fault() for _, fault in chosen))
            await senders.more(faults.events_before())
    await full_stack.ready(*SERVICES)
    await full_stack.assert_complete()
