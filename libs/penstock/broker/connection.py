"""The connection to NATS: publish, request, subscribe.

    connect ─▶ send (no answer) · publish (answered by the stream) · request (answered by a service) · subscribe

The JetStream API is at `jetstream`. A connection that is lost is made anew by itself (reconnect.py), and before its
token expires it is handed over to a new one (handover.py).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from penstock.broker import metrics
from penstock.broker.answers import Answers, resolve
from penstock.broker.handover import HandOver
from penstock.broker.jetstream import JetStream
from penstock.broker.jetstream_answers import Stored, stored
from penstock.broker.nats_client import CONNECT_ERRORS, NatsClient, Subscription
from penstock.broker.protocol import Message, RawCallback, check_message, encode_headers, publication
from penstock.broker.reconnect import LONGEST_WAIT, Reconnect, is_refusal
from penstock.broker.token_renewal import Renewal, TokenSource
from penstock.contracts import nats_subjects as subjects
from penstock.errors import PenstockError, Refused, Unavailable

_log = structlog.get_logger("penstock.broker.connection")

WAITING_BYTES = 16 * 1024 * 1024  # of unsent data while there is no connection, or of a peer that does not read


class Broker:
    """One connection of one identity. Time-outs in seconds; errors are PenstockError.

    `Unavailable` says that a later try may succeed; after a publish failed so, the message may be stored or not.
    """

    def __init__(self, identity: str, prefix: str, on_error: Callable[[PenstockError], None] | None) -> None:
        self.identity = identity
        self.closed = asyncio.Event()
        self.jetstream = JetStream(self, prefix)
        self._up = asyncio.Event()
        self._on_error = on_error
        self._client = NatsClient(self._server_error, self._callback_failed)
        self._answers = Answers(self.inbox() + ".")
        # Called for every message that is published: bound here, not wrapped.
        self.expect, self.forget = self._answers.expect, self._answers.forget
        self._reconnect = Reconnect()
        self._hand_over = HandOver(self._client, self._answers, self._reconnect, self._lost)
        self._on_reconnect: list[Callable[[], None]] = []
        self._on_disconnect: list[Callable[[], None]] = []
        self._passing: set[int] = set()  # subscriptions that end with the connection
        self._renewal: Renewal | None = None
        self._renewing: asyncio.Task[None] | None = None

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
        try:
            async with asyncio.timeout(patience):
                if token_source is not None:
                    broker._renewal = Renewal(token_source, broker._hand_over.run)
                    await broker._renewal.first()
                await broker._open([part.strip() for part in url.split(",")], seed, tls)
        except TimeoutError:
            await broker._client.close()
            if broker._reconnect.refused:
                reason = f"identity {identity} was not authenticated within {patience} s; the authority logs the reason"
            else:
                reason = f"no NATS server at {url} within {patience} s"
            raise Unavailable("BROKER_UNAVAILABLE", reason) from None
        broker.listen(broker._answers.prefix + "*", broker._answers.take)
        if broker._renewal is not None:
            broker._renewing = asyncio.create_task(broker._renewal.run(), name="renewal")
        return broker

    async def _open(self, urls: list[str], seed: Path, tls: ssl.SSLContext | None) -> None:
        with_seed = {"nkeys_seed": str(seed)}
        credentials: dict[str, Any] = {"token": self._renewal.value} if self._renewal else with_seed
        while True:
            try:
                await self._client.open(
                    urls,
                    name=f"{self.identity} {os.getpid()}",
                    **credentials,
                    inbox_prefix=subjects.inbox(self.identity),
                    tls=tls,
                    error_cb=self._attempt_failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._closed,
                    reconnect_to_server_handler=self._reconnect.choose,
                )
                break
            except CONNECT_ERRORS as error:
                # A token is tried again: whoever decides on it may be starting, too.
                if is_refusal(error) and self._renewal is None:
                    raise Refused(
                        "CREDENTIALS_INVALID", f"the server does not accept {seed} as identity {self.identity}"
                    ) from error
                await asyncio.sleep(LONGEST_WAIT / 4)
        self._up.set()
        metrics.BROKER_CONNECTED.labels(self.identity).set(1)

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
        self._on_reconnect.append(callback)

    def forget_callbacks(self, reconnect: Callable[[], None], hand_over: Callable[[], Awaitable[None]]) -> None:
        """Takes back an `on_reconnect` and a `before_hand_over`."""
        with suppress(ValueError):
            self._on_reconnect.remove(reconnect)
        with suppress(ValueError):
            self._hand_over.before.remove(hand_over)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every loss of the connection."""
        self._on_disconnect.append(callback)

    def before_hand_over(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Awaits `callback` before a connection is given up for one with a new token; `on_reconnect` follows."""
        self._hand_over.before.append(callback)

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
            raise Unavailable("SERVICE_UNAVAILABLE", f"no responders on {subject}", retry_after=2)
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
            self._passing.add(subscription.number)
        return subscription

    async def flush(self, timeout: float = 5.0) -> None:
        """Returns when the server has read all that was sent before. Raises Unavailable."""
        await self._client.round_trip(timeout)

    async def drain(self, timeout: float = 5.0) -> None:
        """Sends what is queued, then closes; there is no way back."""
        self._on_reconnect.clear()
        self._hand_over.before.clear()
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self.connected:
            try:
                await self.flush(timeout)
            except Unavailable as error:
                _log.warning("broker_flush_failed", identity=self.identity, reason=error.detail)
        self._up.clear()
        await self._client.close()
        self._answers.fail_all(Unavailable("BROKER_UNAVAILABLE", "the connection was closed"))
        self.closed.set()

    # -- what nats-py reports

    def _server_error(self, text: str) -> None:
        violation = "permissions violation" in text.lower()
        metrics.BROKER_ERRORS.labels("permissions" if violation else "server").inc()
        _log.error("broker_error", identity=self.identity, reason=text)
        error = Refused("FORBIDDEN", f"identity {self.identity}: {text}")
        if violation and "publish to" in text.lower():
            self._answers.fail_subject(error, text.partition('"')[2].rpartition('"')[0])
        if self._on_error is not None:
            self._on_error(error if violation else Unavailable("BROKER_UNAVAILABLE", text))

    def _callback_failed(self, error: Exception) -> None:
        metrics.BROKER_ERRORS.labels("callback").inc()
        _log.error("broker_callback_failed", identity=self.identity, exc_info=error)

    async def _attempt_failed(self, error: Exception) -> None:
        self._reconnect.failed(error)
        self._client.drop_attempt()
        _log.warning("broker_connection_failed", identity=self.identity, reason=f"{type(error).__name__}: {error}")

    async def _disconnected(self) -> None:
        for number in self._passing:
            self._client.forget(number)
        self._passing.clear()
        if not self._hand_over.disconnected():
            self._lost()

    def _lost(self) -> None:
        if not self._up.is_set():
            return
        self._up.clear()
        self._reconnect.begin()
        metrics.BROKER_CONNECTED.labels(self.identity).set(0)
        _log.warning("broker_disconnected", identity=self.identity)
        lost = Unavailable("BROKER_UNAVAILABLE", "the connection broke before the answer", retry_after=1)
        self._answers.fail_all(lost)
        for callback in self._on_disconnect:
            callback()

    async def _reconnected(self) -> None:
        self._hand_over.reconnected()
        self._up.set()
        metrics.BROKER_RECONNECTS.inc()
        metrics.BROKER_CONNECTED.labels(self.identity).set(1)
        _log.info("broker_reconnected", identity=self.identity)
        for callback in self._on_reconnect:
            callback()

    async def _closed(self) -> None:
        self._up.clear()
        self.closed.set()
