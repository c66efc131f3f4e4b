"""answers of JetStream → plain values, or our error for the server's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from penstock.broker.protocol import Message, parse_headers
from penstock.errors import PenstockError, Refused, Unavailable

EPOCH = "penstock.epoch"  # in the stream's metadata
# Header of a publish: stored only if the last message on its subject has this sequence (0: there is none).
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"

# err_code of the server (nats-server server/errors.json) → our code
_WRONG_LAST_SEQUENCE = (10071, 10164)
_TOO_LARGE = 10054
_STORE_FULL = 10077
_TOO_MANY_REQUESTS = 10167
_NOT_FOUND = (10014, 10037, 10059)  # consumer, message, stream


class Stored(NamedTuple):
    """Where a stream put a message."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """State of a stream; `epoch` is from its metadata (0 where none), `config` as the server has it. `first_time` is
    when the oldest message was stored, `created` when the stream was made, both RFC 3339."""

    name: str
    epoch: int
    first_seq: int
    last_seq: int
    messages: int
    bytes: int
    first_time: str
    created: str
    config: dict[str, Any]

    @property
    def created_ns(self) -> int:
        """Unix nanoseconds."""
        return time_ns(self.created)

    @property
    def first_ns(self) -> int:
        """When the oldest message was stored, in Unix nanoseconds; of an empty stream, when it was made."""
        return time_ns(self.first_time) if self.messages else self.created_ns


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """State of a consumer: `pending` not delivered yet, `ack_pending` delivered and not settled, `waiting` pulls,
    `delivered` deliveries so far, redeliveries too, `created` when (RFC 3339)."""

    stream: str
    name: str
    pending: int
    ack_pending: int
    redelivered: int
    waiting: int
    delivered: int
    delivered_stream_seq: int
    ack_floor_stream_seq: int
    config: dict[str, Any]
    created: str = ""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to deliver or to settle."""
        return not self.pending and not self.ack_pending

    def settled_to(self, last: int) -> int:
        """The sequence up to which everything is settled; `last` is that of the stream, looked at before."""
        return last if self.idle else self.ack_floor_stream_seq

    @property
    def ack_wait(self) -> float:
        """Seconds after which an unsettled delivery comes again."""
        return float(self.config.get("ack_wait", 30_000_000_000)) / 1e9


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as its stream keeps it; `stored_at_ns` is Unix time in nanoseconds."""

    stream: str
    sequence: int
    subject: str
    stored_at_ns: int
    data: bytes
    headers: dict[str, str]


def stored(answer: Message, subject: str) -> Stored:
    """The stream's answer to a publish. Raises STREAM_FULL, EVENT_TOO_LARGE, CONFLICT or BROKER_UNAVAILABLE."""
    try:
        body = orjson.loads(answer.data)
        if "error" not in body:
            return Stored(body["stream"], body["seq"])
        error = body["error"]
    except (ValueError, KeyError, TypeError):
        raise Unavailable("BROKER_UNAVAILABLE", f"no stream answered on {subject}", retry_after=2) from None
    raise error_of(error, subject)


def error_of(error: dict[str, Any], what: str) -> PenstockError:
    """Our error for an error of the JetStream API (`code`, `err_code`, `description`)."""
    number = error.get("err_code", 0)
    text = f"{what}: {error.get('description', 'no reason given')} ({number})"
    if number == _STORE_FULL:
        return Unavailable("STREAM_FULL", text, retry_after=10)
    if number == _TOO_MANY_REQUESTS:
        return Unavailable("OVERLOADED", text, retry_after=1)
    if number in _WRONG_LAST_SEQUENCE:
        return Refused("CONFLICT", text)
    if number == _TOO_LARGE:
        return Refused("EVENT_TOO_LARGE", text)
    if number in _NOT_FOUND:
        return Refused("NOT_FOUND", text)
    if error.get("code", 500) >= 500:
        return Unavailable("BROKER_UNAVAILABLE", text, retry_after=2)
    return Refused("QUERY_INVALID", text)


def change_error(error: dict[str, Any], what: str) -> PenstockError:
    """Our error where the API does not make or change something; of those with code 500 the server says so for what
    cannot be changed in place, too."""
    if error.get("code") == 503:
        return error_of(error, what)
    text = f"{what}: {error.get('description', 'no reason given')} ({error.get('err_code', 0)})"
    return Refused("PROVISION_REFUSED", text)


def get_error(message: Message, stream: str) -> PenstockError:
    """Our error for a status with which a stream answers a direct get."""
    if message.status == 404:
        return Refused("NOT_FOUND", f"{stream} holds no such message")
    if message.status == 503:
        return Unavailable("BROKER_UNAVAILABLE", f"there is no {stream} to read, or no leader", retry_after=2)
    reason = (message.raw_headers or b"").split(b"\r\n")[0].decode("utf-8", "replace")
    return Refused("QUERY_INVALID", f"direct get from {stream}: {reason}")


def stored_message(message: Message) -> StoredMessage:
    """An answer of direct get, with the four facts that the server adds as headers taken out of them."""
    headers = parse_headers(message.raw_headers)
    own = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
    return StoredMessage(
        stream=headers["Nats-Stream"],
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        stored_at_ns=time_ns(headers["Nats-Time-Stamp"]),
        data=message.data,
        headers=own,
    )


def stream_info(answer: dict[str, Any]) -> StreamInfo:
    """The answer about a stream."""
    config, state = answer["config"], answer["state"]
    return StreamInfo(
        name=config["name"],
        epoch=int((config.get("metadata") or {}).get(EPOCH, 0)),
        first_seq=state["first_seq"],
        last_seq=state["last_seq"],
        messages=state["messages"],
        bytes=state["bytes"],
        first_time=state["first_ts"],
        created=answer["created"],
        config=config,
    )


def consumer_info(answer: dict[str, Any]) -> ConsumerInfo:
    """The answer about a consumer."""
    return ConsumerInfo(
        stream=answer["stream_name"],
        name=answer["name"],
        pending=answer["num_pending"],
        ack_pending=answer["num_ack_pending"],
        redelivered=answer["num_redelivered"],
        waiting=answer["num_waiting"],
        delivered=answer["delivered"]["consumer_seq"],
        delivered_stream_seq=answer["delivered"]["stream_seq"],
        ack_floor_stream_seq=answer["ack_floor"]["stream_seq"],
        config=answer.get("config") or {},
        created=answer.get("created", ""),
    )


def time_ns(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time as the server writes it, with up to nine decimals."""
    head, _, tail = text.replace("Z", "+00:00").partition(".")
    if not tail:
        return int(datetime.fromisoformat(head).timestamp()) * 1_000_000_000
    digits = tail.split("+")[0].split("-")[0]
    zone = tail[len(digits) :]
    return int(datetime.fromisoformat(head + zone).timestamp()) * 1_000_000_000 + int(digits.ljust(9, "0")[:9])
