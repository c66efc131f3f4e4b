"""The connection to NATS: publish, request, subscribe. The only module that imports nats.

    connect ─▶ send (no answer) · publish (answered by the stream) · request (answered by a service) · subscribe

nats-py makes, keeps and remakes the connection; the two paths every message takes, parsing what arrives (wire.py) and
queueing what leaves, are replaced, because there nats-py spends a task switch and two futures on each message.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from nats import errors as nats_errors
from nats.aio.client import Client, Server
from nats.aio.subscription import Subscription as NatsSubscription

from penstock.broker import metrics
from penstock.broker.jetstream import JetStream, Stored, stored
from penstock.broker.nats_client import NatsClient, Subscription
from penstock.broker.protocol import Message, RawCallback, encode_headers, publication
from penstock.broker.token_renewal import Renewal, TokenSource
from penstock.errors import PenstockError, Refused, Unavailable

_log = structlog.get_logger("penstock.broker.connection")

CONNECT_SECONDS = 5.0
LONGEST_RECONNECT_WAIT = 1.0  # seconds, with jitter: a restarted server is found again within two
LONGEST_REFUSED_WAIT = 5.0  # seconds, where the server is there and does not let us in
WAITING_BYTES = 16 * 1024 * 1024  # of unsent data while there is no connection, or of a peer that does not read
MAX_PAYLOAD = 1024 * 1024
HAND_OVER_SECONDS = 2.0  # after which a hand-over to a new connection counts as a loss of the old one
ANSWER_SECONDS = 1.0  # that a hand-over waits for answers to what was sent before

# What an answer's callback gets: the answer, or why there will be none.
AnswerCallback = Callable[["Message | PenstockError"], None]


class Broker(JetStream):
    """One connection of one identity. Time-outs in seconds; errors are PenstockError.

    `Unavailable` says that a later try may succeed; after a publish failed so, the message may be stored or not.
    """

    def __init__(self, identity: str, prefix: str, on_error: Callable[[PenstockError], None] | None) -> None:
        super().__init__(prefix)
        self.identity = identity
        self.closed = asyncio.Event()
        self._up = asyncio.Event()
        self._on_error = on_error
        self._client = NatsClient(self._server_error, self._callback_failed)
        self._on_reconnect: list[Callable[[], None]] = []
        self._on_disconnect: list[Callable[[], None]] = []
        self._before_hand_over: list[Callable[[], Awaitable[None]]] = []
        self._answers: dict[str, tuple[AnswerCallback, str]] = {}
        self._answer_prefix = self.inbox() + "."
        self._passing: set[int] = set()  # subscriptions that end with the connection
        self._attempt = 0
        self._refused = False
        self._renewal: Renewal | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._handed_over: asyncio.Event | None = None  # there during a hand-over; set when it is done
        self._unanswered: set[str] = set()  # by the connection that a hand-over gives up

    @classmethod
    async def connect(
        cls,
        url: str,
        identity: str,
        credentials: Path,
        *,
        prefix: str = "$JS.core.API",
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
                    broker._renewal = Renewal(token_source, broker._hand_over)
                    await broker._renewal.first()
                await broker._open([part.strip() for part in url.split(",")], seed, tls)
        except TimeoutError:
            await broker._client.close()
            if broker._refused:
                reason = f"identity {identity} was not let in within {patience} s; the log of the authority says why"
            else:
                reason = f"no NATS server at {url} within {patience} s"
            raise Unavailable("BROKER_UNAVAILABLE", reason) from None
        await broker.subscribe_raw(broker._answer_prefix + "*", broker._answered)
        if broker._renewal is not None:
            broker._renewing = asyncio.create_task(broker._renewal.run(), name="renewal")
        return broker

    async def _open(self, urls: list[str], seed: Path, tls: ssl.SSLContext | None) -> None:
        client = self._client
        with_seed = {"nkeys_seed": str(seed)}
        credentials: dict[str, Any] = {"token": self._renewal.value} if self._renewal else with_seed
        while True:
            try:
                await client.connect(
                    urls,
                    name=f"{self.identity} {os.getpid()}",
                    **credentials,
                    inbox_prefix=f"_INBOX.{self.identity}",
                    tls=tls,
                    allow_reconnect=False,  # for the first connection; wrong credentials must not be tried for ever
                    connect_timeout=int(CONNECT_SECONDS),
                    reconnect_time_wait=1,
                    max_reconnect_attempts=-1,
                    ping_interval=5,  # a server that hangs is noticed within three of them
                    error_cb=self._nats_error,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._closed,
                    reconnect_to_server_handler=self._choose_server,
                )
                break
            except (OSError, nats_errors.Error) as error:
                await client._close(Client.DISCONNECTED, False)
                # A token is tried again: whoever decides on it may be starting, too.
                if "authorization" in str(error).lower() and self._renewal is None:
                    raise Refused(
                        "CREDENTIALS_INVALID", f"the server does not accept {seed} as identity {self.identity}"
                    ) from error
                client._server_pool.clear()
                await asyncio.sleep(LONGEST_RECONNECT_WAIT / 4)
        client.options["allow_reconnect"] = True
        self._up.set()

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

    def inbox(self) -> str:
        """A new subject that only this identity may listen on, and that nobody can guess (128 random bits)."""
        return f"_INBOX.{self.identity}.{os.urandom(16).hex()}"

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every new connection; subscriptions are in place by then."""
        self._on_reconnect.append(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Calls `callback` after every loss of the connection."""
        self._on_disconnect.append(callback)

    def before_hand_over(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Awaits `callback` before a connection is given up for one with a new token; `on_reconnect` follows."""
        self._before_hand_over.append(callback)

    # -- sending

    def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Publishes without an answer. Raises Unavailable OVERLOADED when too much waits for the socket."""
        _check(subject, payload)
        self.write(publication(subject, payload, reply, encode_headers(headers) if headers else b""))

    def write(self, data: bytes, *, now: bool = False) -> None:
        """Queues whole protocol operations (wire.publication) that the caller has checked; the hot path under
        `send`. `now` does not wait for the end of this turn of the loop."""
        if self._client.unsent + len(data) > WAITING_BYTES and self._client.unsent:
            raise Unavailable("OVERLOADED", f"more than {WAITING_BYTES} bytes wait for the broker", retry_after=1)
        self._client.queue(data)
        if now:
            self._client._write_pending()

    def expect(self, callback: AnswerCallback, subject: str = "") -> str:
        """A reply address for one answer. `callback` is called once: with the answer, or with the error when the
        connection breaks or the server forbids a publish to `subject`; time-outs are the caller's, by `forget`."""
        token = os.urandom(16).hex()
        self._answers[token] = (callback, subject)
        return self._answer_prefix + token

    def forget(self, reply: str) -> None:
        """The answer to `reply` is not awaited any more."""
        self._answers.pop(reply[len(self._answer_prefix) :], None)

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Message:
        """Publishes and awaits one answer. Raises Unavailable when nobody listens, or nothing comes in time."""
        await self.wait_connected(timeout)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def answered(result: Message | PenstockError) -> None:
            if answer.done():
                return
            if isinstance(result, PenstockError):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        reply = self.expect(answered, subject)
        try:
            self.send(subject, payload, reply=reply, headers=headers)
            async with asyncio.timeout(timeout):
                message = await answer
        except TimeoutError:
            raise Unavailable("TIMED_OUT", f"no answer on {subject} within {timeout} s", retry_after=1) from None
        finally:
            self.forget(reply)
        if message.status == 503:
            raise Unavailable("SERVICE_UNAVAILABLE", f"nobody listens on {subject}", retry_after=2)
        return message

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None, *, timeout: float = 5.0
    ) -> Stored:
        """Publishes and awaits the stream's word that it is stored. Raises as jetstream.stored says."""
        try:
            return stored(await self.request(subject, payload, timeout=timeout, headers=headers), subject)
        except Unavailable as error:
            if error.code == "SERVICE_UNAVAILABLE":
                raise Unavailable("BROKER_UNAVAILABLE", f"no stream takes {subject}", retry_after=2) from None
            raise

    # -- receiving

    async def subscribe(self, subject: str, callback: Callable[[Message], None], *, queue: str = "") -> Subscription:
        """Calls `callback` with each message as it is read; it must not block. Nothing is queued on this side."""

        def build(subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
            callback(Message(subject, reply, raw_headers, data))

        return await self.subscribe_raw(subject, build, queue=queue)

    async def subscribe_raw(self, subject: str, callback: RawCallback, *, queue: str = "") -> Subscription:
        """As `subscribe`, with the parts of the message instead of a Message."""
        return self.listen(subject, callback, queue=queue)

    def listen(self, subject: str, callback: RawCallback, *, queue: str = "", lasting: bool = True) -> Subscription:
        """As `subscribe_raw`, without a wait. One that is not `lasting` ends with this connection. That is for pulls: a
        server that found their inbox again would go on with them, but their way back through the accounts is gone."""
        _check(subject, b"")
        client = self._client
        client._sid += 1
        inner = NatsSubscription(client, client._sid, subject, queue=queue, pending_msgs_limit=1)
        client._subs[inner._id] = inner
        client.parser.callbacks[b"%d" % inner._id] = callback
        if not lasting:
            self._passing.add(inner._id)
        client.queue(f"SUB {subject} {queue} {inner._id}\r\n".encode())
        return Subscription(client, inner)

    async def flush(self, timeout: float = 5.0) -> None:
        """Returns when the server has read all that was sent before. Raises Unavailable."""
        try:
            self._client._write_pending()
            await self._client.flush(timeout=timeout)  # type: ignore[arg-type]  # any number of seconds will do
        except (nats_errors.Error, OSError, AttributeError) as error:
            raise Unavailable("BROKER_UNAVAILABLE", f"the broker did not answer: {error}") from error

    async def drain(self, timeout: float = 5.0) -> None:
        """Sends what is queued, then closes; there is no way back."""
        self._on_reconnect.clear()
        self._before_hand_over.clear()
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self.connected:
            try:
                await self.flush(timeout)
            except Unavailable as error:
                _log.warning("broker_not_flushed", identity=self.identity, reason=error.detail)
        self._up.clear()
        await self._client.close()
        self._fail_answers(Unavailable("BROKER_UNAVAILABLE", "the connection was closed"))
        self.closed.set()

    # -- a new connection with a new token

    async def _hand_over(self) -> None:
        """Goes over to a new connection without a loss: no more deliveries on the old one, its answers are awaited, and
        what is sent meanwhile goes out on the new one. Whoever uses the broker sees a short delay, and `on_reconnect`.
        """
        client = self._client
        if not self.connected or self._handed_over is not None:
            return  # the next connection will have the new token
        self._handed_over = asyncio.Event()
        try:
            await asyncio.gather(*[callback() for callback in self._before_hand_over])
            for number, subscription in list(client._subs.items()):
                if not subscription.subject.startswith(self._answer_prefix):
                    client.queue(f"UNSUB {number}\r\n".encode())
            await self.flush(HAND_OVER_SECONDS)
            client._write_pending()  # what waited during the flush still goes out here, and is to be answered here
            client.held = True
            self._unanswered = set(self._answers)
            await self._answered_or_late()
            self._attempt = 0
            await client.force_reconnect()
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await self._handed_over.wait()
        except (Unavailable, TimeoutError):
            _log.warning("broker_not_handed_over", identity=self.identity)
            self._handed_over = None
            client.held = False
            if client.is_connected:
                await client.force_reconnect()
            else:
                await self._disconnected()
        finally:
            self._handed_over = None
            client.held = False

    async def _answered_or_late(self) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._unanswered & self._answers.keys() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    # -- what nats-py reports

    def _answered(self, subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
        entry = self._answers.pop(subject[len(self._answer_prefix) :], None)
        if entry is not None:
            entry[0](Message(subject, reply, raw_headers, data))

    def _fail_answers(self, error: PenstockError, subject: str | None = None) -> None:
        tokens = [t for t, (_, sent_to) in self._answers.items() if subject is None or sent_to == subject]
        for token in tokens:
            callback, _ = self._answers.pop(token)
            callback(error)

    def _server_error(self, text: str) -> None:
        violation = "permissions violation" in text.lower()
        metrics.BROKER_ERRORS.labels("permissions" if violation else "server").inc()
        _log.error("broker_error", identity=self.identity, reason=text)
        error = Refused("FORBIDDEN", f"identity {self.identity}: {text}")
        if violation and "publish to" in text.lower():
            self._fail_answers(error, text.partition('"')[2].rpartition('"')[0])
        if self._on_error is not None:
            self._on_error(error if violation else Unavailable("BROKER_UNAVAILABLE", text))

    def _callback_failed(self, error: Exception) -> None:
        metrics.BROKER_ERRORS.labels("callback").inc()
        _log.error("broker_callback_failed", identity=self.identity, exc_info=error)

    async def _nats_error(self, error: Exception) -> None:
        client = self._client
        self._refused = "authorization" in str(error).lower()
        if not client.is_connected and client._transport is not None:
            client._transport.close()  # type: ignore[no-untyped-call]  # of a refused attempt; nobody else would
        _log.warning("broker_trouble", identity=self.identity, reason=f"{type(error).__name__}: {error}")

    async def _disconnected(self) -> None:
        for number in self._passing:
            self._client._subs.pop(number, None)
            self._client.parser.callbacks.pop(b"%d" % number, None)
        self._passing.clear()
        if not self._up.is_set():
            return
        if self._handed_over is not None and self._client.held:
            late = Unavailable("BROKER_UNAVAILABLE", "no answer before the connection was renewed", retry_after=1)
            for token in self._unanswered & self._answers.keys():
                self._answers.pop(token)[0](late)
            return
        self._up.clear()
        self._attempt = 0
        metrics.BROKER_CONNECTED.labels(self.identity).set(0)
        _log.warning("broker_disconnected", identity=self.identity)
        self._fail_answers(Unavailable("BROKER_UNAVAILABLE", "the connection broke before the answer", retry_after=1))
        for callback in self._on_disconnect:
            callback()

    async def _reconnected(self) -> None:
        self._client.held = False
        if self._handed_over is not None:
            self._handed_over.set()
        self._up.set()
        metrics.BROKER_RECONNECTS.inc()
        metrics.BROKER_CONNECTED.labels(self.identity).set(1)
        _log.info("broker_reconnected", identity=self.identity)
        for callback in self._on_reconnect:
            callback()

    async def _closed(self) -> None:
        self._up.clear()
        self.closed.set()

    def _choose_server(self, servers: list[Server], _info: dict[str, object]) -> tuple[Server | None, float]:
        """Round robin; the first try at once, then with growing, random waits."""
        server = servers[self._attempt % len(servers)]
        longest = LONGEST_REFUSED_WAIT if self._refused else LONGEST_RECONNECT_WAIT
        longest = min(longest, 0.05 * 2 ** min(self._attempt, 10))
        wait = 0.0 if self._attempt == 0 else random.uniform(longest / 2, longest)  # noqa: S311 - not a secret
        self._attempt += 1
        return server, wait


def _check(subject: str, payload: bytes) -> None:
    if not subject or any(c in subject for c in " \t\r\n"):
        raise Refused("SUBJECT_INVALID", f"{subject!r} is not a subject")
    if len(payload) > MAX_PAYLOAD:
        raise Refused("EVENT_TOO_LARGE", f"{len(payload)} bytes are more than the broker's {MAX_PAYLOAD}")
