"""nats-py's client with a reader and a writer of our own, and errors that do not end it.

nats-py makes, keeps and remakes the connection. The two paths that every message takes, parsing what arrives
(protocol.py) and queueing what leaves, are replaced, because there nats-py spends a task switch and two futures on each
message. Everything that reaches into nats-py is in this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from nats import errors as nats_errors
from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.aio.subscription import Subscription as NatsSubscription

from penstock.broker.protocol import Parser, ProtocolError, RawCallback
from penstock.broker.transport import Transport
from penstock.errors import Unavailable
from penstock.stopping import end_tasks

READ_BYTES = 256 * 1024
CONNECT_SECONDS = 5
PING_SECONDS = 5  # a server that hangs is noticed within three of them
CONNECT_ERRORS = (OSError, nats_errors.Error)  # what `open` may raise


class NatsClient(Client):
    """One connection of nats-py's; `held` keeps what is queued for the next connection."""

    def __init__(self, on_server_error: Callable[[str], None], failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._on_server_error = on_server_error
        self._parser = Parser(self, failed)
        self._ps = self._parser  # type: ignore[assignment]  # same methods, another base
        self._flush_scheduled = False
        self._attempts: set[asyncio.Task[None]] = set()  # to connect
        self._ended = False
        self.held = False

    # -- connecting

    async def open(self, urls: list[str], **options: Any) -> None:
        """One attempt on each server; from then on the client reconnects by itself. Raises CONNECT_ERRORS."""
        attempt = asyncio.create_task(self._first_attempt(urls, options))
        self._note_attempt(attempt)
        await asyncio.wait([attempt])  # not the attempt itself: nats-py may lose a cancellation
        attempt.result()

    def drop_attempt(self) -> None:
        """Closes the transport of an attempt that the server refused; nobody else would."""
        if not self.is_connected and self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]

    async def end(self) -> None:
        """Closes for good, in bounded time, at any moment; what is queued is sent where there is a connection.

        nats-py's own `close` cancels an attempt to connect once. Where that is lost, the connection would be made, and
        remade for ever, after the close.
        """
        self.write_queued()
        self._ended = True
        while running := [attempt for attempt in self._attempts if not attempt.done()]:
            await end_tasks(*running)
        self._status = Client.CLOSED
        await end_tasks(self._reading_task, self._ping_interval_task, self._flusher_task)
        self._subs.clear()
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]
            await self._transport.wait_closed()

    def _note_attempt(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    async def _first_attempt(self, urls: list[str], options: dict[str, Any]) -> None:
        try:
            await self.connect(
                urls,
                **options,
                allow_reconnect=False,  # for the first connection; wrong credentials must not be tried for ever
                connect_timeout=CONNECT_SECONDS,
                reconnect_time_wait=1,
                max_reconnect_attempts=-1,
                ping_interval=PING_SECONDS,
            )
        except CONNECT_ERRORS:
            await self._close(Client.DISCONNECTED, False)
            self._server_pool.clear()
            raise
        self.options["allow_reconnect"] = True

    async def _attempt_reconnect(self) -> None:
        # nats-py cancels an earlier attempt once and does not wait for it: two at a time would share one transport.
        attempt, earlier = asyncio.current_task(), list(self._attempts)
        if self._ended or attempt is None:
            return
        self._note_attempt(attempt)
        await end_tasks(*earlier)
        await super()._attempt_reconnect()

    async def _connect_to_server(self, server: Srv) -> None:
        if self._ended:
            raise asyncio.CancelledError  # the one that was lost on the way
        if self._transport is not None:
            self._transport.abort()
        server.last_attempt = time.monotonic()
        transport = Transport()  # type: ignore[no-untyped-call]
        await transport.connect(server.uri, DEFAULT_BUFFER_SIZE, CONNECT_SECONDS)
        self._transport: Transport | None = transport

    async def _process_err(self, err_msg: str) -> None:
        # nats-py closes for ever on any -ERR it does not know, an expired token among them. Where the server goes on
        # the connection stays; where it hangs up, the client comes back, with fresh credentials.
        self._on_server_error(err_msg)
        text = err_msg.lower()
        if "permissions violation" in text or "invalid subject" in text or "invalid publish" in text:
            return
        await self._process_op_err(nats_errors.Error(f"nats: {err_msg}"))

    async def _read_loop(self) -> None:
        while not (self.is_closed or self.is_reconnecting) and self._transport is not None:
            try:
                data = await self._transport.read(READ_BYTES)
                if not data and self._transport.at_eof():  # type: ignore[no-untyped-call]
                    await self._process_op_err(nats_errors.UnexpectedEOF())
                    return
                await self._ps.parse(data)
            except (ProtocolError, OSError) as error:
                await self._process_op_err(error)
                return

    # -- writing

    def queue(self, data: bytes) -> None:
        """Queues bytes for the next write: one write per turn of the loop, however many messages."""
        self._pending.append(data)
        self._pending_data_size += len(data)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._write_scheduled)

    def _write_scheduled(self) -> None:
        self._flush_scheduled = False
        self.write_queued()

    def write_queued(self) -> None:
        """Writes what is queued without waiting for the end of this turn of the loop."""
        # While reconnecting, nats-py replays the subscriptions first and then flushes what waited.
        if self._pending and self.is_connected and not self.is_connecting and not self.held and self._transport:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            self._transport.writelines(pending)  # type: ignore[no-untyped-call]

    @property
    def unsent(self) -> int:
        """Bytes queued here and in the socket's buffer."""
        return self._pending_data_size + (self._transport.unsent if self._transport is not None else 0)

    async def round_trip(self, timeout: float) -> None:
        """Writes what is queued and returns when the server has read it. Raises Unavailable."""
        try:
            self.write_queued()
            await self.flush(timeout=timeout)  # type: ignore[arg-type]  # any number of seconds will do
        except (nats_errors.Error, OSError, AttributeError) as error:
            raise Unavailable("BROKER_UNAVAILABLE", f"the broker did not answer: {error}") from error

    # -- subscriptions

    def listen(self, subject: str, callback: RawCallback, queue: str) -> Subscription:
        """Asks for the messages of a subject, also on every later connection."""
        self._sid += 1
        number = self._sid
        self._subs[number] = NatsSubscription(self, number, subject, queue=queue, pending_msgs_limit=1)
        self._parser.callbacks[b"%d" % number] = callback
        self.queue(f"SUB {subject} {queue} {number}\r\n".encode())
        return Subscription(self, number, subject)

    def leave(self, number: int) -> None:
        """Asks for no more messages of a subscription; those on their way still reach its callback."""
        if self._subs.pop(number, None) is not None and self.is_connected:
            self.queue(b"UNSUB %d\r\n" % number)

    def forget(self, number: int) -> None:
        """Ends a subscription on this side alone."""
        self._subs.pop(number, None)
        self._parser.callbacks.pop(b"%d" % number, None)

    def pause_subscriptions(self, but: str) -> None:
        """No more deliveries on this connection, except on subjects that begin with `but`; the next connection asks
        for all of them again."""
        for number, subscription in list(self._subs.items()):
            if not subscription.subject.startswith(but):
                self.queue(b"UNSUB %d\r\n" % number)


class Subscription:
    """A subject with a callback; `stop` ends it."""

    def __init__(self, client: NatsClient, number: int, subject: str) -> None:
        self._client = client
        self.number = number
        self.subject = subject

    async def stop(self) -> None:
        """No message reaches the callback afterwards."""
        self.end()

    def end(self) -> None:
        """The same, from where nothing can be awaited."""
        self._client.leave(self.number)
        self._client.forget(self.number)

    def leave(self) -> None:
        """Asks for no more; what is on its way still reaches the callback, until `stop`."""
        self._client.leave(self.number)
