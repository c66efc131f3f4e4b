"""ASGI messages → the body, within its limits: of one request, of all requests together, and of time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from penstock.errors import Refused, Unavailable

MAX_BODY = 8 * 1024 * 1024
MAX_REQUEST = 256 * 1024
READ_SECONDS = 30.0


class Budget:
    """Bytes of bodies held at one time. Whoever finds it used up is sent away, so memory stays bounded."""

    def __init__(self, most: int = 24 * 1024 * 1024) -> None:
        self.held = 0
        self._most = most

    def take(self, count: int) -> None:
        """Raises Unavailable OVERLOADED."""
        if self.held + count > self._most:
            raise Unavailable("OVERLOADED", f"requests of {self.held} bytes are being worked on", retry_after=1)
        self.held += count

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Gives back at the end of the block what was taken in it."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.held -= lease.held


class Lease:
    """What one request has taken of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def grow_to(self, count: int) -> None:
        """Raises Unavailable OVERLOADED."""
        if count > self.held:
            self._budget.take(count - self.held)
            self.held = count


async def read_body(receive: Receive, declared: bytes | None, lease: Lease, *, here: bool = False) -> bytes:
    """The whole body; `declared` is its Content-Length, if there is one; `here` if the server has read all of it.

    Raises Refused REQUEST_TOO_LARGE (as soon as it is known) or REQUEST_TIMED_OUT, Unavailable OVERLOADED, or
    ClientDisconnect when there is nobody left to answer.
    """
    if declared is not None and declared.isdigit():
        if len(declared) > 8 or int(declared) > MAX_BODY:
            raise _too_large(declared.decode())
        lease.grow_to(int(declared))
    if here:  # without a time-out, which would cost a small request one part in twenty
        return await _read(receive, lease)
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await _read(receive, lease)
    except TimeoutError:
        raise Refused("REQUEST_TIMED_OUT", f"the body was not here within {READ_SECONDS:.0f} s") from None


async def _read(receive: Receive, lease: Lease) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large("more")
        lease.grow_to(size)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def limited(receive: Receive, most: int) -> Receive:
    """The same receive for the framework, which reads bodies without a limit of its own."""
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large("more", most)
        return message

    return receive_some


def _too_large(size: str, most: int = MAX_BODY) -> Refused:
    return Refused("REQUEST_TOO_LARGE", f"the body has {size} bytes; at most {most} are taken")
