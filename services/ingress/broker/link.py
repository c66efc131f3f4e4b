"""The connection to the broker and what lives on it. HTTP is up before it; until then everything is Unavailable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from penstock.audit.questions import Questions
from penstock.auth.connect import connect_as
from penstock.auth.denials import Denials
from penstock.broker import Broker, Stored
from penstock.errors import PenstockError, Unavailable
from penstock.publish import GroupCommitter, Receipts
from penstock.services.ingress.broker.durability import Durability
from penstock.settings import Settings

PATIENCE = 2.0  # seconds that a request waits for a connection that broke just now
COMMIT_SECONDS = 8.0  # the longest that events wait for their commit
COMMIT_FAILURE_SECONDS = 5.0  # after a commit failed: then not ready, so that senders turn to another ingress meanwhile
FULL = ("OVERLOADED", "EVENT_SHARE_USED")  # some senders' doing: questions and the other senders' events still pass

_log = structlog.get_logger("penstock.ingress.link")


class Connected:
    """What there is once the broker was reached for the first time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.committer = GroupCommitter(broker, patience=COMMIT_SECONDS)
        self.waiting = Receipts(broker)
        self.durability = Durability(broker)
        self.denials = Denials(broker)
        self.questions = Questions(broker)
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads who is denied, asks the servers whether they are durable, then takes events."""
        await self.denials.start()
        await self.waiting.start()
        await self.durability.check()
        await self.committer.start()
        self._watch = asyncio.create_task(self.durability.run(), name="durability")

    async def stop(self) -> None:
        """Commits what was taken, then closes."""
        await self.committer.stop()
        await self.denials.stop()
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        await self.broker.drain()


class Link:
    """Connects, again and again until it succeeds; afterwards the broker reconnects by itself."""

    def __init__(self, settings: Settings, identity: str = "ingress") -> None:
        self.connected: Connected | None = None
        self.fault: PenstockError | None = None
        self._settings = settings
        self._identity = identity
        self._task: asyncio.Task[None] | None = None
        self._commit_failure: tuple[str, float] | None = None
        self._failed = asyncio.Event()

    async def start(self) -> None:
        """Begins to connect; does not wait for it."""
        self._task = asyncio.create_task(self._connect(), name="connect")

    async def stop(self) -> None:
        """Commits what was taken, then closes."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self.connected is not None:
            await self.connected.stop()

    async def _connect(self) -> None:
        settings = self._settings
        while self.connected is None:
            broker: Broker | None = None
            try:
                broker = await connect_as(self._identity, settings, patience=5.0)
                connected = Connected(broker)
                await connected.start()
                self.connected = connected
            except Unavailable as error:
                _log.warning("broker_not_reached", reason=error.detail)
                if broker is not None:
                    await broker.drain()
            except PenstockError as error:
                self.fault = error
                self._failed.set()
                return

    async def failed(self) -> PenstockError:
        """Returns when it is certain that there will be no connection, with the reason."""
        await self._failed.wait()
        assert self.fault is not None  # noqa: S101 - set with the event
        return self.fault

    async def use(self) -> Connected:
        """The connection, waiting for it a moment. Raises Unavailable BROKER_UNAVAILABLE."""
        connected = self.connected
        if connected is None:
            raise Unavailable("BROKER_UNAVAILABLE", "the broker has not been reached yet", retry_after=2)
        if not connected.broker.connected:
            await connected.broker.wait_connected(PATIENCE)
        return connected

    def committed(self, results: Sequence[Stored | PenstockError]) -> None:
        """Remembers what stopped a commit, until one succeeds or some seconds have passed."""
        for result in results:
            if isinstance(result, Unavailable) and result.code not in FULL:
                self._commit_failure = (result.code, time.monotonic() + COMMIT_FAILURE_SECONDS)
                return
        if any(isinstance(result, Stored) for result in results):  # a refused share says nothing of the stream
            self._commit_failure = None

    def is_denied(self, identity: str) -> bool:
        """Whether the identity is denied entry; before the broker was reached nothing can be had here by anyone."""
        return self.connected is not None and self.connected.denials.is_denied(identity)

    @property
    def durable(self) -> bool:
        """Whether what is accepted now is on disk, as far as the servers said."""
        return self.connected is not None and self.connected.durability.durable

    def problems(self) -> list[str]:
        """Why no events can be taken now."""
        if self.connected is None:
            return ["broker: not reached yet"]
        if not self.connected.broker.connected:
            return ["broker: connection lost"]
        if self._commit_failure is not None and time.monotonic() < self._commit_failure[1]:
            return [f"commit: {self._commit_failure[0]}"]
        return []
