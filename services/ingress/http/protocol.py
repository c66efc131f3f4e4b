"""uvicorn's HTTP/1.1, without trailers and upgrades, with head and body of an answer in one write, and with bounds for
connections (connections.py) instead of uvicorn's limit_concurrency, which idle connections use up for everybody.

Without trailers: uvicorn 0.54 on httptools adds trailer fields to the header fields that the application gets. A proxy
sets and removes header fields only, so they must stay apart (RFC 9110 section 6.5.1: a recipient must not merge
trailers unless it knows that this is safe).

Without upgrades: a client may offer another protocol (a Java client offers HTTP/2 with each plain request), and a
server may ignore that (RFC 9110 section 7.8). httptools ends a request with such an offer behind its head, and its body
would be lost: the head is read again without the offer.

In one write: uvicorn writes the head by itself. With one small event a request, two calls of the system and two packets
were a tenth of its cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, ClassVar, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.services.ingress.http.connections import Connection, Connections, Phase

_OFFER = (b"upgrade", b"http2-settings")
BODY_IS_HERE = "penstock.body_is_here"  # member of the ASGI scope: all of the request has been read
NO_ROOM = "penstock.no_room"  # member of the ASGI scope: there are more connections than there may be


class Protocol(HttpToolsProtocol):
    """The head ends where it ends. `bounds`: None where nobody bounds connections."""

    bounds: ClassVar[Connections | None] = None
    since = 0.0
    sign: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called once, when somebody connects."""
        super().connection_made(cast(asyncio.Transport, _Gathering(transport)))
        if self.bounds is not None:
            self.since = self.loop.time()
            self.bounds.admit(self, cast(Collection[Connection], self.connections))

    def phase(self) -> Phase:
        """What the connection waits for."""
        if self.headers is None:
            return Phase.FIRST_BYTE
        if self.cycle is None:
            return Phase.HEAD
        if not self.cycle.response_complete:
            return Phase.READER if self.flow.write_paused else Phase.ANSWER
        return Phase.IDLE if self.timeout_keep_alive_task is not None else Phase.HEAD

    def progress(self) -> object:
        """The response, or what of it the client has not read."""
        return self.cycle, self.phase(), self.transport.get_write_buffer_size()

    def close(self) -> None:
        """Breaks off; from now on the server does not count it."""
        self.connections.discard(self)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called with what has come; as uvicorn has it, but for offers to upgrade."""
        self._unset_keepalive_if_required()
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("CONNECT is not supported.")
                    return
                data = self._without_offer() + data[offer.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def _without_offer(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() not in _OFFER)
            if value and name not in _OFFER:
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_headers_complete(self) -> None:
        """Called by the parser; what it reports later goes into a list that nobody reads."""
        if self.parser.should_upgrade():
            return  # they come again, without the offer
        self.scope["headers"] = list(self.headers)
        if self.bounds is not None and self.bounds.is_full(self.connections):
            self.scope[NO_ROOM] = True  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Called by the parser behind the body."""
        if self.parser.should_upgrade():
            return
        self.scope[BODY_IS_HERE] = True  # type: ignore[literal-required]
        super().on_message_complete()


def bounded(connections: Connections) -> type[Protocol]:
    """The protocol for a server with these bounds."""
    return type("BoundedProtocol", (Protocol,), {"bounds": connections})


class _Gathering:
    """A transport that writes once in a turn of the event loop what was written to it in that turn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._held: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._call_soon(self._write_held)
        self._held.append(data)

    def _write_held(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def close(self) -> None:
        self._write_held()
        self._transport.close()
