"""bucket → direct gets → objects. Object stores as every NATS client lays them out (ADR-20).

No consumer can be used from APP, so an object is read chunk by chunk and checked against its digest.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from typing import Any

import orjson

from penstock.broker.connection import Broker
from penstock.contracts import nats_subjects as subjects
from penstock.errors import Refused, Unavailable

CHUNK_BYTES = 128 * 1024
CHUNKS_IN_FLIGHT = 16
TIMEOUT = 15.0  # seconds, for a chunk or a batch of them


class DamagedObject(Unavailable):
    """The bytes of an object do not fit its digest; another upload may be under way."""


class Objects:
    """An object store."""

    def __init__(self, broker: Broker, bucket: str) -> None:
        self._broker = broker
        self._jetstream = broker.jetstream
        self._bucket = bucket
        self._stream = subjects.object_stream(bucket)

    async def state(self) -> tuple[int, ...]:
        """Another one whenever an object was stored or a part of one removed."""
        info = await self._jetstream.stream_info(self._stream)
        return info.epoch, info.first_seq, info.last_seq, info.messages, info.bytes

    async def info(self, name: str) -> dict[str, Any]:
        """What the store says of an object: `size`, `chunks`, `digest`, `metadata` and more. Raises NOT_FOUND."""
        message = await self._jetstream.get(self._stream, last_by_subject=subjects.object_info(self._bucket, name))
        found: dict[str, Any] = orjson.loads(message.data)
        if found.get("deleted"):
            raise Refused("NOT_FOUND", f"object {name} was deleted")
        return found

    async def get(self, name: str) -> bytes:
        """The bytes of an object. Raises NOT_FOUND, and DamagedObject when they do not fit its digest."""
        info = await self.info(name)
        subject = subjects.object_chunks(self._bucket, info["nuid"])
        parts: list[bytes] = []
        size, sequence = 0, 1
        while size < info["size"]:
            chunks = await self._jetstream.get_many(self._stream, subject=subject, sequence=sequence, timeout=TIMEOUT)
            if not chunks:
                break
            parts += [chunk.data for chunk in chunks]
            size += sum(len(chunk.data) for chunk in chunks)
            sequence = chunks[-1].sequence + 1
        data = b"".join(parts)
        if len(data) != info["size"] or digest(data) != info["digest"]:
            raise DamagedObject(
                "BROKER_UNAVAILABLE", f"object {name} is incomplete or damaged: {len(data)} of {info['size']} bytes"
            )
        return data

    async def put(self, name: str, data: bytes, *, metadata: dict[str, str] | None = None) -> dict[str, Any]:
        """Stores an object; it can be read once this returns. Returns its info."""
        nuid = os.urandom(16).hex()
        subject = subjects.object_chunks(self._bucket, nuid)
        chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for first in range(0, len(chunks), CHUNKS_IN_FLIGHT):
            # Chunks are read in the order of the stream; what one connection publishes keeps its order.
            group = chunks[first : first + CHUNKS_IN_FLIGHT]
            await asyncio.gather(*(self._broker.publish(subject, chunk, timeout=TIMEOUT) for chunk in group))
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
        await self._broker.publish(subjects.object_info(self._bucket, name), orjson.dumps(info))
        return info


def digest(data: bytes) -> str:
    """The digest of an object as its store writes it."""
    return "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
