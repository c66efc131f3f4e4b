"""nats-py's client with a reader and a writer of our own, and errors that do not end it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription as NatsSubscription

from penstock.broker.protocol import Parser, ProtocolError

READ_BYTES = 256 * 1024


class NatsClient(Client):
    """nats-py's client with another reader, and with errors that do not end it."""

    def __init__(self, on_server_error: Callable[[str], None], failed: Callable[[Exception], None]) -> None:
        super().__init__()
        self._on_server_error = on_server_error
        self.parser = Parser(self, failed)
        self._ps = self.parser  # type: ignore[assignment]  # same methods, another base
        self._flush_scheduled = False
        self.held = False  # what is queued waits for the next connection

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
                if not data and self._transport.at_eof():
                    await self._process_op_err(nats_errors.UnexpectedEOF())
                    return
                await self._ps.parse(data)
            except (ProtocolError, OSError) as error:
                await self._process_op_err(error)
                return

    def queue(self, data: bytes) -> None:
        """Queues bytes for the next write: one write per turn of the loop, however many messages."""
        self._pending.append(data)
        self._pending_data_size += len(data)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._write_scheduled)

    def _write_scheduled(self) -> None:
        self._flush_scheduled = False
        self._write_pending()

    def _write_pending(self) -> None:
        # While reconnecting, nats-py replays the subscriptions first and then flushes what waited.
        if self._pending and self.is_connected and not self.is_connecting and not self.held and self._transport:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            self._transport.writelines(pending)

    @property
    def unsent(self) -> int:
        """Bytes queued here and in the socket's buffer."""
        writer = getattr(self._transport, "_io_writer", None)
        return self._pending_data_size + (writer.transport.get_write_buffer_size() if writer else 0)


class Subscription:
    """A subject with a callback; `stop` ends it."""

    def __init__(self, client: NatsClient, inner: NatsSubscription) -> None:
        self._client = client
        self._inner = inner
        self.subject = inner.subject

    async def stop(self) -> None:
        """No message reaches the callback afterwards."""
        self.end()

    def end(self) -> None:
        """The same, from where nothing can be awaited."""
        self.leave()
        self._client.parser.callbacks.pop(b"%d" % self._inner._id, None)

    def leave(self) -> None:
        """Asks for no more; what is on its way still reaches the callback, until `stop`."""
        number = self._inner._id
        if self._client._subs.pop(number, None) is not None and self._client.is_connected:
            self._client.queue(b"UNSUB %d\r\n" % number)
