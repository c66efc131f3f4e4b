"""Which replica leads: the key `leader`, renewed every second; who sees it unchanged for three seconds takes it.

No clock is compared with another's. A leader stops within 2.4 s of its last renewal, counted from before it was sent; a
follower waits 3 s from when it saw that renewal, which is later. So two never lead at once, and a kill is made up for
within 3.5 s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from penstock.broker import Keys, if_there
from penstock.errors import PenstockError, Refused
from penstock.services.operator import metrics
from penstock.stopping import end_tasks, set_within

_log = structlog.get_logger("penstock.operator.lease")

KEY = "leader"
LEASE_SECONDS = 3.0  # without a renewal, after which another takes over
RENEW_SECONDS = 1.0
GIVE_UP_SECONDS = 2.4  # without a renewal that succeeded, after which the leader stops
LOOK_SECONDS = 0.5

Lead = Callable[[asyncio.Event], Awaitable[None]]  # leads until the event is set


class Lease:
    """One replica's part in it. `leads`: this one does; `led`: somebody does."""

    def __init__(self, keys: Keys) -> None:
        self.instance = os.urandom(8).hex()
        self.leads = False
        self.led = False
        self._keys = keys
        self._revision = 0
        self._seen_at = 0.0

    async def run(self, stop: asyncio.Event, lead: Lead) -> None:
        """Follows or leads until `stop`; then lets another lead at once."""
        while not stop.is_set():
            try:
                if await self._free():
                    self._revision = await self._keys.put(KEY, self.instance.encode(), expected=self._revision)
                    await self._lead(stop, lead)
            except PenstockError as error:
                _log.debug("lease_not_had", code=error.code, reason=error.detail)
            await set_within(stop, LOOK_SECONDS)

    async def _free(self) -> bool:
        """Whether nobody leads, as far as can be seen from here."""
        now = time.monotonic()
        entry = await if_there(self._keys.get(KEY))
        if entry is None:
            return True
        if entry.revision != self._revision:
            self.led = bool(self._revision) and bool(entry.value)
            self._revision, self._seen_at = entry.revision, now
        return not entry.value or now - self._seen_at > LEASE_SECONDS

    async def _lead(self, stop: asyncio.Event, lead: Lead) -> None:
        lost = asyncio.Event()
        task = asyncio.create_task(self._work(lead, lost), name="leader")
        _log.info("leading", instance=self.instance)
        renewed_at = time.monotonic()
        try:
            while not (stop.is_set() or lost.is_set() or task.done()):
                await set_within(stop, RENEW_SECONDS)
                sent_at = time.monotonic()
                try:
                    async with asyncio.timeout(max(renewed_at + GIVE_UP_SECONDS - sent_at, 0.01)):
                        self._revision = await self._keys.put(KEY, self.instance.encode(), expected=self._revision)
                    renewed_at = sent_at
                except (PenstockError, TimeoutError) as error:
                    conflict = isinstance(error, Refused)
                    if conflict or time.monotonic() - renewed_at >= GIVE_UP_SECONDS - 0.01:
                        _log.warning("lease_lost", instance=self.instance, reason=str(error))
                        lost.set()
        finally:
            self.leads = self.led = False
            metrics.LEADS.set(0)
            lost.set()
            await asyncio.wait([task], timeout=LEASE_SECONDS - GIVE_UP_SECONDS if not stop.is_set() else 3.0)
            await end_tasks(task)
        if stop.is_set():
            with suppress(PenstockError):
                await self._keys.put(KEY, b"", expected=self._revision)
        elif not task.cancelled() and (failed := task.exception()) is not None:
            raise failed  # a defect: the process ends, and another replica leads

    async def _work(self, lead: Lead, lost: asyncio.Event) -> None:
        self.leads = True
        metrics.LEADS.set(1)
        await lead(lost)
