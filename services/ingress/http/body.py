"""ASGI messages → the body, within its limits: of one request, of its sender's share, and of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from penstock.errors import Refused
from penstock.services.ingress.http.body_budget import Lease
from penstock.services.ingress.settings import IngressSettings

MAX_BODY = 8 * 1024 * 1024
MAX_REQUEST = 256 * 1024
READ_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How slowly a body may come: `floor` bytes a second, after `grace` seconds."""

    floor: int
    grace: float

    def seconds(self, size: int) -> float:
        """Within which more than `size` bytes must have come."""
        return min(self.grace + size / self.floor, READ_SECONDS)


def pace_of(settings: IngressSettings) -> Pace:
    """The slowest that the settings allow."""
    return Pace(settings.ingress_body_floor, settings.ingress_body_grace)


async def read_body(receive: Receive, declared: bytes | None, lease: Lease, pace: Pace, *, here: bool = False) -> bytes:
    """The whole body; `declared` is its Content-Length, if there is one; `here` if the server has read all of it.

    Raises Refused REQUEST_TOO_LARGE (as soon as it is known) or REQUEST_TIMED_OUT, Unavailable as `lease` does, or
    ClientDisconnect when there is nobody left to answer.
    """
    if declared is not None and declared.isdigit() and (len(declared) > 8 or int(declared) > MAX_BODY):
        raise _too_large(declared.decode())
    if here:  # without a time-out, which would cost a small request one part in twenty
        return await _read(receive, lease)
    try:
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(began + pace.seconds(0)) as limit:
            return await _read(receive, lease, lambda size: limit.reschedule(began + pace.seconds(size)))
    except TimeoutError:
        raise Refused("REQUEST_TIMED_OUT", _too_slow(lease.held, pace)) from None


async def _read(receive: Receive, lease: Lease, came: Callable[[int], None] | None = None) -> bytes:
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
        if came is not None:
            came(size)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def limited(receive: Receive, most: int, pace: Pace) -> Receive:
    """The same receive for the framework, which reads bodies without limits of its own: of bytes and of time."""
    size = 0
    more = True
    began = asyncio.get_running_loop().time()

    async def receive_some() -> Message:
        nonlocal size, more
        if not more:  # it waits for the client to leave
            return await receive()
        try:
            async with asyncio.timeout_at(began + pace.seconds(size)):
                message = await receive()
        except TimeoutError:
            raise Refused("REQUEST_TIMED_OUT", _too_slow(size, pace)) from None
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size > most:
            raise _too_large("more", most)
        return message

    return receive_some


def _too_slow(size: int, pace: Pace) -> str:
    return (
        f"{size} bytes of the body came in {pace.seconds(size):.0f} s; it must come at {pace.floor} bytes/s"
        f" after {pace.grace:g} s, and within {READ_SECONDS:.0f} s"
    )


def _too_large(size: str, most: int = MAX_BODY) -> Refused:
    return Refused("REQUEST_TOO_LARGE", f"the body has {size} bytes; at most {most} are taken")
