"""The protocol reader: however the socket cuts the bytes, the messages are the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.broker import (
    LONGEST_CONTROL_LINE,
    Message,
    Parser,
    ProtocolError,
    encode_headers,
    parse_headers,
    publication,
    status_of,
)
from penstock.consume import Delivery, settle_bytes

Heard = tuple[str, str, bytes | None, bytes]


class Peer:
    """Notes what the parser reports besides messages."""

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.parser = Parser(self, self.words.append)
        self.heard: list[Heard] = []
        self.parser.callbacks[b"1"] = lambda *parts: self.heard.append(parts)

    async def _process_err(self, err_msg: str) -> None:
        self.words.append(err_msg)
        if err_msg == "broken":
            self.parser.reset()

    async def _process_ping(self) -> None:
        self.words.append("PING")

    async def _process_pong(self) -> None:
        self.words.append("PONG")

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.words.append(info)


def sent(subject: str, reply: str, headers: bytes | None, payload: bytes) -> bytes:
    """A message as the server writes it."""
    middle = f" {reply}" if reply else ""
    if headers is None:
        return f"MSG {subject} 1{middle} {len(payload)}\r\n".encode() + payload + b"\r\n"
    size = len(headers)
    return f"HMSG {subject} 1{middle} {size} {size + len(payload)}\r\n".encode() + headers + payload + b"\r\n"


MESSAGES = st.tuples(
    st.sampled_from(["a", "evt.1c.http.shop.log.line.v1"]),
    st.sampled_from(["", "_INBOX.x.1"]),
    st.none() | st.just(b"NATS/1.0\r\nname: value\r\n\r\n") | st.just(b"NATS/1.0 408 Request Timeout\r\n\r\n"),
    st.binary(max_size=60) | st.just(b"MSG a 1 3\r\nabc\r\n"),
)


@given(st.lists(MESSAGES, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=20))
async def test_messages_are_the_same_however_the_bytes_are_cut(messages: list[Heard], cuts: list[int]) -> None:
    data = b"PING\r\n" + b"".join(sent(*message) for message in messages) + b"+OK\r\nPONG\r\n"
    peer = Peer()
    while data:
        size, cuts = cuts[0], [*cuts[1:], cuts[0]]
        await peer.parser.parse(data[:size])
        data = data[size:]
    assert peer.heard == messages
    assert peer.words == ["PING", "PONG"]


async def test_a_large_payload_in_many_pieces_is_joined_once() -> None:
    payload = bytes(1_000_000)
    peer = Peer()
    data = sent("a", "", None, payload)
    for start in range(0, len(data), 1000):
        await peer.parser.parse(data[start : start + 1000])
    assert peer.heard == [("a", "", None, payload)]


@pytest.mark.parametrize("data", [b"HELLO\r\n", b"MSG a 1\r\n", b"MSG a 1 x\r\n", b"HMSG a 1 5\r\n", b"MSG \r\n"])
async def test_bytes_that_are_not_nats_protocol_end_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Peer().parser.parse(data)


async def test_a_line_without_an_end_is_bounded() -> None:
    with pytest.raises(ProtocolError):
        await Peer().parser.parse(b"M" * (LONGEST_CONTROL_LINE + 1))


async def test_bytes_after_a_fatal_error_are_ignored() -> None:
    peer = Peer()
    await peer.parser.parse(b"-ERR 'broken'\r\n" + sent("a", "", None, b"x") + b"MSG a 1")
    await peer.parser.parse(b"PING\r\n")
    assert peer.words == ["broken", "PING"]
    assert not peer.heard


async def test_a_failing_callback_does_not_block_the_next_message() -> None:
    peer = Peer()

    def fail(*_: object) -> None:
        raise ValueError

    peer.parser.callbacks[b"2"] = fail
    await peer.parser.parse(b"MSG a 2 1\r\nx\r\n" + sent("a", "", None, b"y") + b"MSG a 99 1\r\nz\r\n")
    assert [type(word) for word in peer.words] == [ValueError]
    assert peer.heard == [("a", "", None, b"y")]


def test_headers_go_out_as_they_are_and_come_back() -> None:
    raw = publication("a", b"body", "b", encode_headers({"x": "1", "y": "ä\r\nz: 2"}))
    head, _, rest = raw.partition(b"\r\n")
    header_size, total = (int(number) for number in head.split()[-2:])
    assert parse_headers(rest[:header_size]) == {"x": "1", "y": "ä  z: 2"}
    assert rest[header_size:total] == b"body"


@pytest.mark.parametrize(
    ("raw", "status"),
    [(None, 0), (b"NATS/1.0\r\n\r\n", 0), (b"NATS/1.0 503\r\n\r\n", 503), (b"NATS/1.0 abc\r\n\r\n", 0)],
)
def test_the_status_line_of_headers_is_parsed(raw: bytes | None, status: int) -> None:
    assert status_of(raw) == status
    assert Message("a", "", raw, b"").status == status


def test_acknowledging_many_sends_the_same_as_one_by_one() -> None:
    assert settle_bytes(["a", "b"], b"+ACK") == b"PUB a  4\r\n+ACK\r\nPUB b  4\r\n+ACK\r\n"
    assert settle_bytes(["a"], b'-NAK {"delay": 1}') == publication("a", b'-NAK {"delay": 1}')
    assert settle_bytes([], b"+ACK") == b""


@pytest.mark.parametrize("facts", [[], ["1"] * 4, ["1"] * 6, ["1", "x", "1", "1", "1"]])
def test_a_reply_address_of_another_form_is_not_a_delivery(facts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Delivery("a", "r", None, b"", "S", "c", facts)
