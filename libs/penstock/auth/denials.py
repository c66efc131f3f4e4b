"""bucket `denials` → the set of identities that are denied, kept up to date in this process.

    warden ─▶ $KV.denials.<identity> ─▶ notification on ctl.denials, or the next poll (1 s) ─▶ is_denied()

An entry is {"identity", "denied", "by", "reason", "at"}; allowing again writes an entry too, so nothing is deleted and
the sequence of the last entry seen is all that must be remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson
import structlog

from penstock.audit import record
from penstock.broker import MOST_PER_GET, Broker, Message, Subscription
from penstock.contracts import nats_subjects, subjects
from penstock.errors import PenstockError, Refused
from penstock.stopping import end_tasks

_log = structlog.get_logger("penstock.auth.denials")

BUCKET = "denials"
STREAM = nats_subjects.key_stream(BUCKET)
SUBJECTS = nats_subjects.key(BUCKET, ">")
NOTIFICATION = subjects.notification(BUCKET)
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Denial:
    """What the list says of one identity; `at` is ISO 8601 in UTC, `by` who decided."""

    identity: str
    denied: bool
    by: str
    reason: str
    at: str


class Denials:
    """Follows the list over a connection that may read it. While the broker is away the last list stays in force."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._entries: dict[str, Denial] = {}
        self._next = 1
        self._look = asyncio.Event()
        self._changed: list[Callable[[frozenset[str]], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Reads the list and follows it from now on. Raises what reading it raises: no list, no start."""
        await self.update()
        self._subscription = await self._broker.subscribe(NOTIFICATION, self._notified)
        self._task = asyncio.create_task(self._follow(), name="denials")

    async def stop(self) -> None:
        """Follows no longer."""
        if self._subscription is not None:
            await self._subscription.stop()
        await end_tasks(self._task)

    def is_denied(self, identity: str) -> bool:
        """Whether the identity is denied entry."""
        entry = self._entries.get(identity)
        return entry is not None and entry.denied

    @property
    def denied(self) -> frozenset[str]:
        """All identities that are denied."""
        return frozenset(name for name, entry in self._entries.items() if entry.denied)

    def entries(self) -> list[Denial]:
        """What the list says, of allowed identities too."""
        return sorted(self._entries.values(), key=lambda entry: entry.identity)

    def on_change(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Calls `callback` with the identities that have just been denied."""
        self._changed.append(callback)

    async def update(self) -> None:
        """Reads what is new on the list."""
        before = self.denied
        while True:
            messages = await self._broker.jetstream.get_many(STREAM, sequence=self._next, subject=SUBJECTS)
            for message in messages:
                self._next = message.sequence + 1
                self._take(message.data, message.subject)
            if len(messages) < MOST_PER_GET:
                break
        if new := self.denied - before:
            for callback in self._changed:
                callback(new)

    def _take(self, data: bytes, subject: str) -> None:
        name = nats_subjects.key_of(subject)
        try:
            entry = Denial(**orjson.loads(data))
        except (orjson.JSONDecodeError, TypeError):
            # Whatever this was meant to say: in doubt whoever is on the list is denied.
            _log.error("denial_decode_failed", identity=name)
            entry = Denial(name, True, "", "the entry cannot be read", "")
        self._entries[name] = entry

    def _notified(self, _message: Message) -> None:
        self._look.set()

    async def _follow(self) -> None:
        failing = False
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self.update()
                failing = False
            except PenstockError as error:
                if not failing:
                    _log.warning("denials_read_failed", reason=error.detail)
                failing = True


async def write(broker: Broker, identity: str, *, denied: bool, by: str, reason: str) -> Denial:
    """Denies an identity or allows it again: audited, written, and those who follow are notified. For `warden` only.

    Raises Refused QUERY_INVALID for what cannot be an identity, Unavailable when it could not be audited or written.
    """
    if not identity.replace("_", "a").isalnum() or not identity.isascii() or len(identity) > 64:
        raise Refused("QUERY_INVALID", f"{identity!r} is not an identity", pointer="/identity")
    entry = Denial(identity, denied, by[:128], reason[:1024], datetime.now(UTC).isoformat(timespec="milliseconds"))
    verb = "revoke" if denied else "allow"
    await record.write(broker, verb, entry.by, **asdict(entry))
    await broker.publish(nats_subjects.key(BUCKET, identity), orjson.dumps(asdict(entry)))
    broker.send(NOTIFICATION)
    return entry
