"""bucket → direct gets → values. Key-value buckets and object stores as every NATS client lays them out (ADR-8,
ADR-20).

No consumer can be used from APP, so a reader looks every second and when nudged, and an object is read chunk by chunk
and checked against its digest. Without roll-ups, which would let one header empty a bucket.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.broker.connection import Broker
from penstock.broker.jetstream import StoredMessage
from penstock.errors import Refused, Unavailable
from penstock.stopping import first_set

CHUNK_BYTES = 128 * 1024
CHUNKS_IN_FLIGHT = 16
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
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."

    async def get(self, key: str) -> Entry:
        """The value of a key. Raises NOT_FOUND."""
        message = await self._broker.get(self._stream, last_by_subject=self._prefix + key)
        if _deleted(message):
            raise Refused("NOT_FOUND", f"key {key} was deleted")
        return Entry(message.data, message.sequence)

    async def all(self) -> dict[str, Entry]:
        """Every key with its value; at most 1024 keys."""
        messages = await self._broker.get_many(self._stream, last_of=[self._prefix + ">"])
        return {m.subject[len(self._prefix) :]: Entry(m.data, m.sequence) for m in messages if not _deleted(m)}

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Sets a key; returns its revision. With `expected` (0: not there yet) raises CONFLICT when somebody was
        faster."""
        headers = None if expected is None else {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        return (await self._broker.publish(self._prefix + key, value, headers)).sequence

    async def watch(
        self, changed: Callable[[dict[str, Entry]], Awaitable[None]], stop: asyncio.Event, *, nudge: str = ""
    ) -> None:
        """Calls `changed` with all keys now, and whenever one differs, until `stop`. Messages on `nudge` hurry it."""
        look = asyncio.Event()
        subscription = await self._broker.subscribe(nudge, lambda _: look.set()) if nudge else None
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


class Objects:
    """An object store."""

    def __init__(self, broker: Broker, bucket: str) -> None:
        self._broker = broker
        self._bucket = bucket
        self._stream = f"OBJ_{bucket}"

    async def info(self, name: str) -> dict[str, Any]:
        """What the store says of an object: `size`, `chunks`, `digest`, `metadata` and more. Raises NOT_FOUND."""
        message = await self._broker.get(self._stream, last_by_subject=self._meta(name))
        found: dict[str, Any] = orjson.loads(message.data)
        if found.get("deleted"):
            raise Refused("NOT_FOUND", f"object {name} was deleted")
        return found

    async def get(self, name: str) -> bytes:
        """The bytes of an object. Raises NOT_FOUND, and Unavailable when they do not fit the object's digest."""
        info = await self.info(name)
        subject = f"$O.{self._bucket}.C.{info['nuid']}"
        parts: list[bytes] = []
        size, sequence = 0, 1
        while size < info["size"]:
            chunks = await self._broker.get_many(self._stream, subject=subject, sequence=sequence, timeout=15.0)
            if not chunks:
                break
            parts += [chunk.data for chunk in chunks]
            size += sum(len(chunk.data) for chunk in chunks)
            sequence = chunks[-1].sequence + 1
        data = b"".join(parts)
        if len(data) != info["size"] or digest(data) != info["digest"]:
            raise Unavailable("BROKER_UNAVAILABLE", f"object {name} is not whole: {len(data)} of {info['size']} bytes")
        return data

    async def put(self, name: str, data: bytes, *, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        """Stores an object; it can be read once this returns. Returns its info."""
        nuid = os.urandom(16).hex()
        subject = f"$O.{self._bucket}.C.{nuid}"
        chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for first in range(0, len(chunks), CHUNKS_IN_FLIGHT):
            # Chunks are read in the order of the stream; what one connection publishes keeps its order.
            group = chunks[first : first + CHUNKS_IN_FLIGHT]
            await asyncio.gather(*(self._broker.publish(subject, chunk, timeout=15.0) for chunk in group))
        info = {
            "name": name,
            "bucket": self._bucket,
            "nuid": nuid,
            "size": len(data),
            "chunks": len(chunks),
            "digest": digest(data),
            "metadata": metadata or {},
            "options": {"max_chunk_size": CHUNK_BYTES},
        }
        await self._broker.publish(self._meta(name), orjson.dumps(info))
        return info

    def _meta(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def digest(data: bytes) -> str:
    """The digest of an object as its store writes it."""
    return "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


def _deleted(message: StoredMessage) -> bool:
    return message.headers.get("KV-Operation") in ("DEL", "PURGE")
