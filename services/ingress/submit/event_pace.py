"""How many events a second one identity sends while others are there.

A batch of 5,000 costs every server behind the ingress seconds of work, in which questions and other senders' events
wait. So with company an identity goes on in small portions; alone it goes as fast as the stream takes it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from penstock.errors import Unavailable
from penstock.services.ingress import metrics
from penstock.services.ingress.access.company import Company

AHEAD = 1.0  # seconds of its rate that an identity may send at once after it has sent less
DEBT = 2.0  # seconds after which a request would begin; beyond it is refused, so that a stop never waits for it
PORTION = 0.04  # seconds of the rate that are committed at one time
LONGEST = 4.0  # seconds that one request may go on, as its body takes memory meanwhile; the identity pays all the same
REMEMBERED = 1024  # identities

_USED_UP = metrics.SHARES_USED_UP.labels("event_identity")


class EventPace:
    """`rate`: events a second; 0 is no bound."""

    def __init__(self, rate: int, company: Company) -> None:
        self._rate = rate
        self._company = company
        self._free: dict[str, float] = {}  # when what an identity has sent so far is paid for

    def must_have_room(self, identity: str) -> None:
        """Before a body is read. Raises Unavailable EVENT_SHARE_USED."""
        self._start(identity, time.monotonic())

    def begin(self, identity: str, events: int) -> float:
        """When the request may begin, 0 if at once; what follows begins after it. Raises as `must_have_room`."""
        now = time.monotonic()
        start = self._start(identity, now)
        if start:
            if len(self._free) >= REMEMBERED:
                self._free = {name: free for name, free in self._free.items() if free > now - AHEAD}
            self._free[identity] = start + events / self._rate
        return start

    def _start(self, identity: str, now: float) -> float:
        if not self._rate or not self._company.has(identity):
            self._free.pop(identity, None)
            return 0.0
        start = max(self._free.get(identity, 0.0), now - AHEAD)
        if start > now + DEBT:
            _USED_UP.inc()
            detail = f"{identity} may send {self._rate} events a second while others are at work"
            raise Unavailable("EVENT_SHARE_USED", detail, retry_after=round(start - now, 1))
        return start

    async def portions(self, identity: str, start: float, events: int) -> AsyncIterator[tuple[int, int]]:
        """(first, end) of each portion, when its time has come."""
        rate = max(self._rate, events / LONGEST)
        first = 0
        while first < events:
            end = events
            if start and self._company.has(identity):
                await asyncio.sleep(max(start + first / rate - time.monotonic(), 0.0))
                due = int((time.monotonic() - start) * rate)
                end = min(max(due, first) + max(int(PORTION * rate), 1), events)
            yield first, end
            first = end
