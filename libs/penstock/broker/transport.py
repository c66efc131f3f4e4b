"""The socket of a connection: its end is bounded, whatever the peer reads, and leaves nothing open.

nats-py's transport waits for a peer that has stopped reading until TCP gives up, and one that is cancelled in the wait
cannot be waited for again.
"""

from __future__ import annotations

import asyncio

from nats.aio.transport import TcpTransport

CLOSE_SECONDS = 1.0  # for what was written to leave


class Transport(TcpTransport):
    """One socket; a new attempt to connect takes a new one."""

    async def wait_closed(self) -> None:
        """Waits after `close` until what was written has left, at most CLOSE_SECONDS; then cuts the connection."""
        if self._io_writer is None:
            return
        closing = asyncio.ensure_future(self._io_writer.wait_closed())
        try:
            await asyncio.wait([closing], timeout=CLOSE_SECONDS)
        finally:
            self.abort()
            closing.add_done_callback(_forget_error)
        await asyncio.wait([closing], timeout=CLOSE_SECONDS)
        closing.cancel()  # after a TLS handshake that failed nobody says that the connection is gone

    def abort(self) -> None:
        """Cuts the connection; what was not sent is lost."""
        for writer in (self._io_writer, self._bare_io_writer):
            if writer is not None:
                writer.transport.abort()

    @property
    def unsent(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._io_writer.transport.get_write_buffer_size() if self._io_writer is not None else 0


def _forget_error(closing: asyncio.Future[None]) -> None:
    if not closing.cancelled():
        closing.exception()  # how a connection broke that was given up
