"""`$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<stored at>.<pending>` → Delivery.

The reply address of a delivery is where it is settled, and where the server says what it is. No client can publish with
such a reply address, so a message with another one did not come from the consumer.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from penstock.broker import parse_headers

ACK = b"+ACK"
NAK = b"-NAK"
IN_PROGRESS = b"+WPI"


class Delivery:
    """One delivery of a stored message. `delivered` counts from 1; `pending` is what the consumer has left behind
    it."""

    __slots__ = (
        "_headers",
        "consumer",
        "data",
        "delivered",
        "epoch",
        "pending",
        "raw_headers",
        "reply",
        "sequence",
        "stored_at_ns",
        "stream",
        "subject",
        "tick",
    )

    def __init__(
        self,
        subject: str,
        reply: str,
        raw_headers: bytes | None,
        data: bytes,
        stream: str,
        consumer: str,
        facts: list[str],
    ) -> None:
        """`facts` are the five tokens of the reply address after the consumer. Raises ValueError when they are not."""
        delivered, sequence, _, stored_at, pending = facts
        self.subject = subject
        self.reply = reply
        self.raw_headers = raw_headers
        self.data = data
        self.stream = stream
        self.consumer = consumer
        self.delivered = int(delivered)
        self.sequence = int(sequence)
        self.stored_at_ns = int(stored_at)
        self.pending = int(pending)
        self.epoch = 0  # of the stream, where it is not the present one: a message of an earlier stream, replayed
        self.tick = 0  # of the lane's clock, when it came in
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The publisher's headers by name; parsed when first read, those of a group commit left out."""
        if self._headers is None:
            raw = self.raw_headers
            # Most messages were stored by group commit and have nothing but its three headers: see that without
            # parsing.
            if raw is None or raw.count(b"\r\n") - raw.count(b"\r\nNats-Batch-") <= 2:
                self._headers = {}
            else:
                self._headers = {n: v for n, v in parse_headers(raw).items() if not n.startswith("Nats-")}
        return self._headers

    def without_payload(self, headers: Sequence[str] = ()) -> Delivery:
        """The same delivery with nothing in memory but what settles it, and these of its headers."""
        light = copy(self)
        light.data, light.raw_headers = b"", None
        light._headers = {name: self.headers[name] for name in headers if name in self.headers}
        return light


def nak(after: float) -> bytes:
    """The verb that has a delivery come again after so many seconds."""
    return b'%b {"delay": %d}' % (NAK, max(int(after * 1e9), 1))


def settle_bytes(replies: list[str], verb: bytes) -> bytes:
    """The protocol operations that send `verb` to every reply address, in one piece."""
    tail = f"  {len(verb)}\r\n{verb.decode()}\r\n"
    return ("PUB " + (tail + "PUB ").join(replies) + tail).encode() if replies else b""
