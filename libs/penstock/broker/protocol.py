"""bytes of the socket → subject, reply, headers, payload of each message → the callback of its subscription.

The NATS client protocol (https://docs.nats.io/reference/reference-protocols/nats-protocol), read and written with as
little work per message as Python allows: control lines are split, not matched, headers stay bytes until somebody
asks for them, and a callback is a plain function called at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import orjson

from penstock.errors import Refused

# subject, reply ("" for none), header block (None for none), payload
RawCallback = Callable[[str, str, bytes | None, bytes], None]

MAX_PAYLOAD = 1024 * 1024  # bytes of a message
LONGEST_CONTROL_LINE = 64 * 1024  # INFO of a large cluster; anything longer is not NATS


class ProtocolError(Exception):
    """The peer does not speak the NATS protocol; the connection is of no use any more."""


def parse_headers(raw: bytes | None) -> dict[str, str]:
    """Header lines by name; of a name given twice the last wins. Undecodable bytes become U+FFFD."""
    headers: dict[str, str] = {}
    if raw:
        for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip()] = value.strip()
    return headers


def status_of(raw: bytes | None) -> int:
    """The status in the first header line (`NATS/1.0 503`), 0 for none."""
    if raw is None or raw[8:9] != b" ":
        return 0
    digits = raw[9:12]
    return int(digits) if digits.isdigit() else 0


def encode_headers(headers: dict[str, str]) -> bytes:
    """Header lines without the first and the last; line breaks in values become spaces, so none can be forged."""
    return "".join(
        f"{name}: {value.replace(chr(13), ' ').replace(chr(10), ' ')}\r\n" for name, value in headers.items()
    ).encode()


def check_message(subject: str, payload: bytes) -> None:
    """Raises Refused for what the server would not take, or would take for something else."""
    if not subject or any(c in subject for c in " \t\r\n"):
        raise Refused("SUBJECT_INVALID", f"{subject!r} is not a subject")
    if len(payload) > MAX_PAYLOAD:
        raise Refused("EVENT_TOO_LARGE", f"{len(payload)} bytes are more than the broker's {MAX_PAYLOAD}")


def publication(subject: str, payload: bytes, reply: str = "", header_lines: bytes = b"") -> bytes:
    """PUB or HPUB as it goes on the wire. The caller has checked the subject, as `check_message` does."""
    if not header_lines:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
    size = len(header_lines) + 12  # "NATS/1.0\r\n" and the empty line
    return b"HPUB %b %b %d %d\r\nNATS/1.0\r\n%b\r\n%b\r\n" % (
        subject.encode(),
        reply.encode(),
        size,
        size + len(payload),
        header_lines,
        payload,
    )


class Message:
    """A message as a subscriber sees it; headers are parsed when first read."""

    __slots__ = ("_headers", "data", "raw_headers", "reply", "subject")

    def __init__(self, subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
        self.subject = subject
        self.reply = reply
        self.raw_headers = raw_headers
        self.data = data
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers by name; empty for none."""
        if self._headers is None:
            self._headers = parse_headers(self.raw_headers)
        return self._headers

    @property
    def status(self) -> int:
        """The status the server put into the header, 0 for an ordinary message."""
        return status_of(self.raw_headers)


class Peer(Protocol):
    """What the parser tells the client of, apart from messages."""

    async def _process_err(self, err_msg: str) -> None: ...
    async def _process_ping(self) -> None: ...
    async def _process_pong(self) -> None: ...
    async def _process_info(self, info: dict[str, Any]) -> None: ...


class Parser:
    """Takes what the socket gave, calls callbacks by subscription id, keeps the incomplete rest."""

    def __init__(self, peer: Peer, failed: Callable[[Exception], None]) -> None:
        self.callbacks: dict[bytes, RawCallback] = {}
        self._peer = peer
        self._failed = failed
        self._generation = 0
        self.reset()

    def reset(self) -> None:
        """Forgets the rest of a connection that is gone."""
        self._generation += 1
        self._rest: list[bytes] = []
        self._have = 0
        self._need = 0

    async def parse(self, data: bytes = b"") -> None:
        """One read of the socket. Raises ProtocolError; an error of a callback is reported, not raised."""
        if self._rest:
            self._rest.append(data)
            self._have += len(data)
            if self._have < self._need:  # a large payload still on its way: do not join what will be joined again
                return
            data = b"".join(self._rest)
            self._rest = []
        self._need = 0
        generation = self._generation
        position = await self._messages(data, generation)
        if position < len(data) and generation == self._generation:
            if not self._need and len(data) - position > LONGEST_CONTROL_LINE:
                raise ProtocolError(f"no line end within {LONGEST_CONTROL_LINE} bytes")
            self._rest = [data[position:]]
            self._have = len(data) - position

    async def _messages(self, data: bytes, generation: int) -> int:
        """Everything complete in `data`; returns where the incomplete rest begins."""
        find, callbacks, size, position = data.find, self.callbacks, len(data), 0
        while True:
            line_end = find(b"\r\n", position)
            if line_end < 0:
                return position
            operation = data[position : position + 4]
            parts = data[position:line_end].split()
            start = line_end + 2
            try:
                if operation == b"MSG ":  # MSG <subject> <sid> [reply] <bytes>
                    reply = parts[3].decode() if len(parts) == 5 else _no_reply(parts, 4)
                    body = start
                    end = start + int(parts[-1])
                    headers = None
                elif operation == b"HMSG":  # HMSG <subject> <sid> [reply] <header bytes> <bytes>
                    reply = parts[3].decode() if len(parts) == 6 else _no_reply(parts, 5)
                    body = start + int(parts[-2])
                    end = start + int(parts[-1])
                    headers = data[start:body]
                else:
                    await self._control(data[position:line_end])
                    if generation != self._generation:  # the connection broke meanwhile; the rest is void
                        return size
                    position = start
                    continue
            except (ValueError, IndexError) as error:
                raise ProtocolError(f"malformed {operation!r}") from error
            if end + 2 > size:
                self._need = end + 2 - position
                return position
            callback = callbacks.get(parts[2])
            position = end + 2
            if callback is not None:
                try:
                    callback(parts[1].decode(), reply, headers, data[body:end])
                except Exception as error:  # noqa: BLE001 - one subscriber's fault must not stop the others
                    self._failed(error)

    async def _control(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"PING":
            await self._peer._process_ping()
        elif word == b"PONG":
            await self._peer._process_pong()
        elif word == b"INFO":
            await self._peer._process_info(orjson.loads(line[5:]))
        elif word == b"-ERR":
            await self._peer._process_err(line[4:].decode("utf-8", "replace").strip().strip("'"))
        elif word[:3] != b"+OK" and line:
            raise ProtocolError(f"unknown operation {line[:16]!r}")


def _no_reply(parts: list[bytes], expected: int) -> str:
    if len(parts) != expected:
        raise ValueError(f"{len(parts)} words")
    return ""
