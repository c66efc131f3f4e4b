"""The connection to NATS: publish, request, subscribe.

    connect ─▶ send (no answer) · publish (answered by the stream) · request (answered by a service) · subscribe

The JetStream API is at `jetstream`. A connection that is lost is made anew by itself, and before its token
expires it is handed over to a new one (lifecycle.py).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from penstock.broker.answers import Answers, resolve
from penstock.broker.jetstream import JetStream
from penstock.broker.jetstream_answers import Stored, stored
from penstock.broker.lifecycle import Lifecycle
from penstock.broker.nats_client import Subscription
from penstock.broker.protocol import Message, RawCallback, check_message, encode_headers, publication
from penstock.broker.token_renewal import TokenSource
from penstock.contracts import nats_subjects as subjects
from penstock.errors import NoResponder, PenstockError, Refused, Unavailable

_log = structlog.get_logger("penstock.broker.connection")

WAITING_BYTES = 16 * 1024 * 1024  # of unsent data while there is no connection, or of a peer that does not read


class Broker:
    """One connection of one identity. Time-outs in seconds; errors are PenstockError.

    `Unavailable` says that a later try may succeed; after a publish failed so, the message may be stored or not.
    """

    def __init__(self, identity: str, prefix: str, on_error: Callable[[PenstockError], None] | None) -> None:
        self.identity = identity
        self.jetstream = JetStream(self, prefix)
        self._answers = Answers(self.inbox() + ".")
        # Called for every message that is published: bound here, not wrapped.
        self.expect, self.forget = self._answers.expect, self._answers.forget
        self._life = Lifecycle(identity, self._answers, on_error)
        self.closed = self._life.closed
        self._client, self._up = self._life.client, self._life.up

    @classmethod
    async def connect(
        cls,
        url: str,
        identity: str,
        credentials: Path,
        *,
        prefix: str = subjects.CORE_API,
        on_error: Callable[[PenstockError], None] | None = None,
        patience: float = 30.0,
        tls: ssl.SSLContext | None = None,
        token_source: TokenSource | None = None,
    ) -> Broker:
        """Connects with the seed in `credentials/<identity>.nk`, or with tokens of `token_source`, which are renewed;
        `url` may name several servers, separated by commas.

        `prefix` is that of the JetStream API as the identity's account sees it. Raises Refused CREDENTIALS_INVALID at
        once, and Unavailable BROKER_UNAVAILABLE when no server was there for `patience` seconds.
        """
        seed = credentials / f"{identity}.nk"
        if token_source is None and not seed.is_file():
            raise Refused("CREDENTIALS_INVALID", f"no seed file {seed} for identity {identity}")
        broker = cls(identity, prefix, on_error)
        await broker._life.open(url, seed, patience, tls, token_source)
        broker.listen(broker._answers.prefix + "*", broker._answers.take)
        broker._life.keep_renewed()
        return broker

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._up.is_set()

    async def wait_connected(self, timeout: float) -> None:
        """Returns when there is a connection. Raises Unavailable BROKER_UNAVAILABLE after `timeout` seconds."""
        if not self._up.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._up.wait()
            except TimeoutError:
                raise Unavailable("BROKER_UNAVAILABLE", "there is no connection to the broker", retry_after=2) from None

    @property
    def open_requests(self) -> int:
        """Answers that are awaited at this moment."""
        return len(self._answers.open())

    def inbox(self) -> str:
        """A new subject that only this identity may listen on, and that nobody can guess (128 random bits)."""
        return f"{subjects.inbox(self.identity)}.{os.urandom(16).hex()}"

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every new connection; subscriptions are in place by then."""
        self._life.on_reconnect.append(callback)

    def forget_callbacks(self, reconnect: Callable[[], None], hand_over: Callable[[], Awaitable[None]]) -> None:
        """Takes back an `on_reconnect` and a `before_hand_over`."""
        with suppress(ValueError):
            self._life.on_reconnect.remove(reconnect)
        with suppress(ValueError):
            self._life.hand_over.before.remove(hand_over)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every loss of the connection."""
        self._life.on_disconnect.append(callback)

    def before_hand_over(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Awaits `callback` before a connection is given up for one with a new token; `on_reconnect` follows."""
        self._life.hand_over.before.append(callback)

    # -- sending

    def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Publishes without an answer. Raises Unavailable OVERLOADED when too much waits for the socket."""
        check_message(subject, payload)
        self.write(publication(subject, payload, reply, encode_headers(headers) if headers else b""))

    def write(self, data: bytes, *, now: bool = False) -> None:
        """Queues whole protocol operations (`protocol.publication`) that the caller has checked; the hot path under
        `send`. `now` does not wait for the end of this turn of the loop."""
        if self._client.unsent + len(data) > WAITING_BYTES and self._client.unsent:
            raise Unavailable("OVERLOADED", f"more than {WAITING_BYTES} bytes wait for the broker", retry_after=1)
        self._client.queue(data)
        if now:
            self._client.write_queued()

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Message:
        """Publishes and awaits one answer. Raises Unavailable when there are no responders, or nothing comes in
        time."""
        await self.wait_connected(timeout)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        reply = self.expect(resolve(answer), subject)
        try:
            self.send(subject, payload, reply=reply, headers=headers)
            async with asyncio.timeout(timeout):
                message = await answer
        except TimeoutError:
            raise Unavailable("TIMED_OUT", f"no answer on {subject} within {timeout} s", retry_after=1) from None
        finally:
            self.forget(reply)
        if message.status == 503:
            raise NoResponder("SERVICE_UNAVAILABLE", f"no responders on {subject}", retry_after=2)
        return message

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None, *, timeout: float = 5.0
    ) -> Stored:
        """Publishes and awaits the stream's confirmation that it is stored. Raises as `stored` does."""
        try:
            return stored(await self.request(subject, payload, timeout=timeout, headers=headers), subject)
        except Unavailable as error:
            if error.code == "SERVICE_UNAVAILABLE":
                raise Unavailable("BROKER_UNAVAILABLE", f"no stream captures {subject}", retry_after=2) from None
            raise

    # -- receiving

    async def subscribe(self, subject: str, callback: Callable[[Message], None], *, queue: str = "") -> Subscription:
        """Calls `callback` with each message as it is read; it must not block. Nothing is queued on this side."""

        def build(subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
            callback(Message(subject, reply, raw_headers, data))

        return self.listen(subject, build, queue=queue)

    def listen(self, subject: str, callback: RawCallback, *, queue: str = "", lasting: bool = True) -> Subscription:
        """As `subscribe`, with the parts of the message instead of a Message, and without a wait.

        One that is not `lasting` ends with this connection. That is for pulls: a server that found their inbox again
        would go on with them, but their way back through the accounts is gone."""
        check_message(subject, b"")
        subscription = self._client.listen(subject, callback, queue)
        if not lasting:
            self._life.passing.add(subscription.number)
        return subscription

    async def flush(self, timeout: float = 5.0) -> None:
        """Returns when the server has read all that was sent before. Raises Unavailable."""
        await self._client.round_trip(timeout)

    async def drain(self, timeout: float = 5.0) -> None:
        """Sends what is queued, then closes; there is no way back."""
        await self._life.end_renewal()
        if self.connected:
            try:
                await self.flush(timeout)
            except Unavailable as error:
                _log.warning("broker_flush_failed", identity=self.identity, reason=error.detail)
        await self._life.close()
