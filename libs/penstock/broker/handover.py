"""a new token → a new connection in place of the old one, without the loss of a message or an answer.

    callbacks that come before ─▶ no more deliveries ─▶ what is queued goes out ─▶ answers awaited ─▶ the new connection

What is sent meanwhile is held and goes out on the new connection. Where a step takes too long, the old connection is
given up as if it had been lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from penstock.broker.answers import Answers
from penstock.broker.nats_client import NatsClient
from penstock.broker.reconnect import Reconnect
from penstock.errors import Unavailable
from penstock.stopping import end_tasks

_log = structlog.get_logger("penstock.broker.handover")

HAND_OVER_SECONDS = 2.0  # after which a hand-over to a new connection counts as a loss of the old one
ANSWER_SECONDS = 1.0  # that a hand-over waits for answers to what was sent before


class HandOver:
    """The hand-overs of one client, one at a time. `lost` is called when the connection is gone and does not come back
    as part of it."""

    def __init__(self, client: NatsClient, answers: Answers, reconnect: Reconnect, lost: Callable[[], None]) -> None:
        self.before: list[Callable[[], Awaitable[None]]] = []  # awaited before the old connection is given up
        self._client = client
        self._answers = answers
        self._reconnect = reconnect
        self._lost = lost
        self._running: asyncio.Task[None] | None = None
        self._done: asyncio.Event | None = None  # there during a hand-over; set by the new connection
        self._unanswered: frozenset[str] = frozenset()  # by the connection that is given up

    async def run(self) -> None:
        """Returns when the new connection is there, or is being made after a loss. Does nothing without a connection:
        the next one has the new token anyway."""
        if not self._client.is_connected or self._done is not None:
            return
        self._running = asyncio.create_task(self._hand_over(), name="hand-over")
        await asyncio.wait([self._running])  # cancelled, it leaves the hand-over to `finish`
        self._running.result()

    async def finish(self) -> None:
        """Lets a hand-over that is under way come to its end, at most HAND_OVER_SECONDS: what it holds is sent then."""
        if self._running is not None and not self._running.done():
            await asyncio.wait([self._running], timeout=HAND_OVER_SECONDS)
            await end_tasks(self._running)

    async def _hand_over(self) -> None:
        client = self._client
        self._done = asyncio.Event()
        try:
            await asyncio.gather(*[callback() for callback in self.before])
            client.pause_subscriptions(but=self._answers.prefix)
            await client.round_trip(HAND_OVER_SECONDS)
            client.write_queued()  # what waited during the round trip is still to be answered here
            client.held = True
            self._unanswered = self._answers.open()
            await self._answered_or_late()
            self._reconnect.begin()
            await client.force_reconnect()
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._done.wait()
        except (Unavailable, TimeoutError):
            _log.warning("connection_hand_over_failed")
            self._done = None
            client.held = False
            if client.is_connected:
                await client.force_reconnect()
            else:
                self._lost()
        finally:
            self._done = None
            client.held = False

    def disconnected(self) -> bool:
        """Whether the end of the connection is part of a hand-over; then only the answers that it owed are lost."""
        if self._done is None or not self._client.held:
            return False
        late = Unavailable("BROKER_UNAVAILABLE", "no answer before the connection was renewed", retry_after=1)
        self._answers.fail(late, self._unanswered)
        return True

    def reconnected(self) -> None:
        """A new connection is there."""
        self._client.held = False
        if self._done is not None:
            self._done.set()

    async def _answered_or_late(self) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._answers.any_of(self._unanswered) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
