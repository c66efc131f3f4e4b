"""one request → the answers of all who answer, until one of them is the last, or there is silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from penstock.broker.protocol import Message
from penstock.errors import PenstockError


class Stoppable(Protocol):
    """A subscription."""

    async def stop(self) -> None: ...


class Requester(Protocol):
    """What a request with many answers needs of a connection; Broker has it."""

    def inbox(self) -> str: ...
    def send(self, subject: str, payload: bytes = b"", *, reply: str = "") -> None: ...
    async def subscribe(self, subject: str, callback: Callable[[Message], None]) -> Stoppable: ...


async def request_many(
    connection: Requester,
    subject: str,
    payload: bytes,
    take: Callable[[Message], bool],
    *,
    timeout: float,
    silence: float | None = None,
) -> bool:
    """Publishes and gives each answer to `take` as it is read, until that returns True: it was the last one.

    Returns False when there was no last one within `timeout` seconds. With `silence`, for when nobody knows how many
    will answer, it returns False so many seconds after the latest answer, and `timeout` is for the first; an answer
    without content, with which a server says that there are no responders, does not count. Raises Unavailable, and what
    `take` raises.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    limit = asyncio.timeout(timeout)

    def received(message: Message) -> None:
        if ended.done() or limit.expired():
            return
        try:
            if take(message):
                ended.set_result(None)
            elif silence is not None and message.data:
                limit.reschedule(loop.time() + silence)
        except PenstockError as error:  # raised where it belongs, in the request
            ended.set_exception(error)

    inbox = connection.inbox()
    subscription = await connection.subscribe(inbox, received)
    try:
        async with limit:
            connection.send(subject, payload, reply=inbox)
            await ended
    except TimeoutError:
        return False
    finally:
        await subscription.stop()
    return True
