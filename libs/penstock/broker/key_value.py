"""bucket → direct gets → values by key. Key-value buckets as every NATS client lays them out (ADR-8).

No consumer can be used from APP, so a reader polls every second and when notified. Without roll-ups, which would let
one header empty a bucket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from penstock.broker.connection import Broker
from penstock.broker.jetstream_answers import EXPECTED_LAST, StoredMessage
from penstock.contracts import nats_subjects as subjects
from penstock.errors import Refused, Unavailable
from penstock.stopping import first_set

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """The value of a key; `revision` is what a later put may expect to still be there."""

    value: bytes
    revision: int


class Keys:
    """A key-value bucket."""

    def __init__(self, broker: Broker, bucket: str) -> None:
        self._broker = broker
        self._jetstream = broker.jetstream
        self._stream = subjects.key_stream(bucket)
        self._bucket = bucket

    async def get(self, key: str) -> Entry:
        """The value of a key. Raises NOT_FOUND."""
        message = await self._jetstream.get(self._stream, last_by_subject=subjects.key(self._bucket, key))
        if _deleted(message):
            raise Refused("NOT_FOUND", f"key {key} was deleted")
        return Entry(message.data, message.sequence)

    async def all(self, keys: str = ">") -> dict[str, Entry]:
        """Every key that `keys` (may hold wildcards) matches, with its value; at most 1024 keys."""
        messages = await self._jetstream.get_many(self._stream, last_of=[subjects.key(self._bucket, keys)])
        return {subjects.key_of(m.subject): Entry(m.data, m.sequence) for m in messages if not _deleted(m)}

    async def latest(self, keys: str) -> dict[str, Entry]:
        """The same for any number of keys, page by page, at the cost of reading their history too."""
        found: dict[str, StoredMessage] = {}
        subject, sequence = subjects.key(self._bucket, keys), 1
        while page := await self._jetstream.get_many(self._stream, subject=subject, sequence=sequence):
            found |= {message.subject: message for message in page}
            sequence = page[-1].sequence + 1
        return {subjects.key_of(m.subject): Entry(m.data, m.sequence) for m in found.values() if not _deleted(m)}

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Sets a key; returns its revision. With `expected` (0: not there yet) raises CONFLICT when somebody was
        faster."""
        headers = None if expected is None else {EXPECTED_LAST: str(expected)}
        return (await self._broker.publish(subjects.key(self._bucket, key), value, headers)).sequence

    async def watch(
        self, changed: Callable[[dict[str, Entry]], Awaitable[None]], stop: asyncio.Event, *, notification: str = ""
    ) -> None:
        """Calls `changed` with all keys now, and whenever one differs, until `stop`; a message on the subject
        `notification` makes it look at once."""
        look = asyncio.Event()
        subscription = await self._broker.subscribe(notification, lambda _: look.set()) if notification else None
        revisions: dict[str, int] | None = None
        try:
            while not stop.is_set():
                look.clear()
                with suppress(Unavailable):  # what was known last stays true until the broker is back
                    entries = await self.all()
                    found = {key: entry.revision for key, entry in entries.items()}
                    if found != revisions:
                        await changed(entries)
                        revisions = found
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await first_set(stop, look)
        finally:
            if subscription is not None:
                await subscription.stop()


def _deleted(message: StoredMessage) -> bool:
    return message.headers.get("KV-Operation") in ("DEL", "PURGE")
