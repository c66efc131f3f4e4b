"""A message delivered for the fourth time → handled alone → dead-lettered if that took the process down three times.

A delivery that was never settled ended in a crash, a time-out, or a handler that raised. Handled alone, with nothing
else in flight, the message is surely what a crash is due to, and its neighbours are not blamed for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from penstock.consume.crash_counter import CrashCounter
from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Drop, Outcome

SUSPECT_FROM = 4  # deliveries that were not settled; from then on a message is handled alone
CRASHES = 3  # tries alone that killed the process, before the message is dead-lettered

# Handles one delivery, or settles it with the outcome that is given.
HandleAlone = Callable[[Delivery, "Outcome | None"], Awaitable[None]]


class Isolation:
    """The suspects of one lane. `slots` are those of its batches, `in_flight` in number: alone is who has them all."""

    def __init__(self, crash_counter: CrashCounter | None, slots: asyncio.Semaphore, in_flight: int) -> None:
        self.queue: deque[Delivery] = deque()
        self._crash_counter = crash_counter
        self._slots = slots
        self._in_flight = in_flight

    async def handle_first(self, handle: HandleAlone, stopping: asyncio.Event) -> None:
        """Handles the first suspect; it stays in the queue until then, and when the lane stops first."""
        async with self._all_slots():
            if self._crash_counter is None:
                if not stopping.is_set():
                    await handle(self.queue.popleft(), None)
                return
            async with self._crash_counter.alone:
                if not stopping.is_set():
                    await self._try(self._crash_counter, handle)

    async def _try(self, counter: CrashCounter, handle: HandleAlone) -> None:
        delivery = self.queue.popleft()
        where = (delivery.stream, delivery.consumer, delivery.sequence)
        crashes = counter.begin(*where)
        crashed = Drop("WORKER_CRASHED", f"{crashes} tries to handle it alone took the process down")
        await handle(delivery, crashed if crashes >= CRASHES else None)
        counter.end(*where)

    @asynccontextmanager
    async def _all_slots(self) -> AsyncIterator[None]:
        taken = 0
        try:
            while taken < self._in_flight:
                await self._slots.acquire()
                taken += 1
            yield
        finally:
            for _ in range(taken):
                self._slots.release()
