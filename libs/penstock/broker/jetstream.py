"""question → JetStream API (JSON over request/reply) → streams, consumers and stored messages as plain values.

Subjects begin with the prefix that the account sees: `$JS.API` in CORE, `$JS.core.API` in APP. Direct get: ADR-31.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from penstock.broker.protocol import Message, parse_headers
from penstock.errors import PenstockError, Refused, Unavailable

# err_code of the server (nats-server server/errors.json) → our code
_WRONG_LAST_SEQUENCE = (10071, 10164)
_TOO_LARGE = 10054
_STORE_FULL = 10077
_TOO_MANY_REQUESTS = 10167
_NOT_FOUND = (10014, 10037, 10059)  # consumer, message, stream
MOST_PER_GET = 1000  # messages in one batch direct get


class Stored(NamedTuple):
    """Where a stream put a message."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """State of a stream; `epoch` is from its metadata (0 where none), `config` as the server has it."""

    name: str
    epoch: int
    first_seq: int
    last_seq: int
    messages: int
    bytes: int
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """State of a consumer: `pending` not delivered yet, `ack_pending` delivered and not settled, `waiting` pulls."""

    stream: str
    name: str
    pending: int
    ack_pending: int
    redelivered: int
    waiting: int
    delivered_stream_seq: int
    ack_floor_stream_seq: int
    config: dict[str, Any]

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


class JetStream(ABC):
    """The part of the broker that asks the JetStream API."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    @abstractmethod
    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Message: ...

    @abstractmethod
    def send(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None: ...

    @abstractmethod
    def inbox(self) -> str: ...

    @abstractmethod
    async def subscribe(self, subject: str, callback: Any, *, queue: str = "") -> Any: ...

    async def api(self, operation: str, body: dict[str, Any] | None = None, *, timeout: float = 5.0) -> dict[str, Any]:
        """One call of the API, e.g. `STREAM.INFO.EVENTS_HTTP`. Raises NOT_FOUND, CONFLICT, … by the server's error."""
        payload = orjson.dumps(body) if body is not None else b""
        message = await self.request(f"{self.prefix}.{operation}", payload, timeout=timeout)
        answer: dict[str, Any] = orjson.loads(message.data)
        if "error" in answer:
            raise error_of(answer["error"], operation)
        return answer

    async def stream_info(self, stream: str, *, timeout: float = 5.0) -> StreamInfo:
        """State and configuration of a stream. Raises NOT_FOUND."""
        return _stream_info(await self.api(f"STREAM.INFO.{stream}", timeout=timeout))

    async def consumer_info(self, stream: str, consumer: str, *, timeout: float = 5.0) -> ConsumerInfo:
        """State and configuration of a consumer. Raises NOT_FOUND."""
        return _consumer_info(await self.api(f"CONSUMER.INFO.{stream}.{consumer}", timeout=timeout))

    async def create_stream(self, config: dict[str, Any]) -> StreamInfo:
        """Makes a stream; making one that is there with the same configuration changes nothing. CORE only."""
        return _stream_info(await self._provision(f"STREAM.CREATE.{config['name']}", config))

    async def update_stream(self, config: dict[str, Any]) -> StreamInfo:
        """Changes a stream to `config`. CORE only. Raises PROVISION_REFUSED for what cannot change."""
        return _stream_info(await self._provision(f"STREAM.UPDATE.{config['name']}", config))

    async def ensure_consumer(self, stream: str, config: dict[str, Any]) -> ConsumerInfo:
        """Makes the durable consumer `config["name"]`, or changes it to `config`. CORE only."""
        body = {"stream_name": stream, "config": config, "action": ""}
        return _consumer_info(await self._provision(f"CONSUMER.CREATE.{stream}.{config['name']}", body))

    async def _provision(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self.api(operation, body, timeout=10.0)
        except Refused as error:
            if error.code != "QUERY_INVALID":
                raise
            raise Refused("PROVISION_REFUSED", error.detail) from error

    async def get(
        self, stream: str, *, sequence: int | None = None, last_by_subject: str | None = None, timeout: float = 5.0
    ) -> StoredMessage:
        """One stored message, by sequence or the last on a subject. Raises NOT_FOUND."""
        body: dict[str, Any] = {"seq": sequence} if last_by_subject is None else {"last_by_subj": last_by_subject}
        subject = f"{self.prefix}.DIRECT.GET.{stream}"
        message = await self.request(subject, orjson.dumps(body), timeout=timeout)
        if message.status:
            raise _get_error(message, stream)
        return stored_message(message)

    async def get_many(
        self,
        stream: str,
        *,
        sequence: int = 1,
        subject: str | None = None,
        last_of: Sequence[str] | None = None,
        most: int = MOST_PER_GET,
        max_bytes: int = 8 * 1024 * 1024,
        timeout: float = 5.0,
    ) -> list[StoredMessage]:
        """Up to `most` stored messages from `sequence` on, of `subject` (may hold wildcards) where given; or, with
        `last_of`, the last message of each subject that matches (at most 1024 subjects). Empty where there is none."""
        body: dict[str, Any] = {"batch": min(most, MOST_PER_GET), "max_bytes": max_bytes}
        if last_of is not None:
            body["multi_last"] = list(last_of)
        else:
            body["seq"] = max(sequence, 1)
            if subject is not None:
                body["next_by_subj"] = subject
        return await self._collect(f"{self.prefix}.DIRECT.GET.{stream}", orjson.dumps(body), stream, timeout)

    async def _collect(self, subject: str, payload: bytes, stream: str, timeout: float) -> list[StoredMessage]:
        """Answers until the marker of the end of the batch (status 204)."""
        found: list[StoredMessage] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def collect(message: Message) -> None:
            if done.done():
                return
            status = message.status
            if not status:
                found.append(stored_message(message))
            elif status in (204, 404):
                done.set_result(None)
            else:
                done.set_exception(_get_error(message, stream))

        inbox = self.inbox()
        subscription = await self.subscribe(inbox, collect)
        try:
            self.send(subject, payload, reply=inbox)
            async with asyncio.timeout(timeout):
                await done
        except TimeoutError:
            raise Unavailable("TIMED_OUT", f"{stream} gave no end of batch within {timeout} s", retry_after=1) from None
        finally:
            await subscription.stop()
        return found


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


def time_ns(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time as the server writes it, with up to nine decimals."""
    head, _, tail = text.replace("Z", "+00:00").partition(".")
    if not tail:
        return int(datetime.fromisoformat(head).timestamp()) * 1_000_000_000
    digits = tail.split("+")[0].split("-")[0]
    zone = tail[len(digits) :]
    return int(datetime.fromisoformat(head + zone).timestamp()) * 1_000_000_000 + int(digits.ljust(9, "0")[:9])


def _get_error(message: Message, stream: str) -> PenstockError:
    if message.status == 404:
        return Refused("NOT_FOUND", f"{stream} holds no such message")
    if message.status == 503:
        return Unavailable("BROKER_UNAVAILABLE", f"there is no {stream} to read, or no leader", retry_after=2)
    reason = (message.raw_headers or b"").split(b"\r\n")[0].decode("utf-8", "replace")
    return Refused("QUERY_INVALID", f"direct get from {stream}: {reason}")


def _stream_info(answer: dict[str, Any]) -> StreamInfo:
    config, state = answer["config"], answer["state"]
    return StreamInfo(
        name=config["name"],
        epoch=int((config.get("metadata") or {}).get(EPOCH, 0)),
        first_seq=state["first_seq"],
        last_seq=state["last_seq"],
        messages=state["messages"],
        bytes=state["bytes"],
        config=config,
    )


def _consumer_info(answer: dict[str, Any]) -> ConsumerInfo:
    return ConsumerInfo(
        stream=answer["stream_name"],
        name=answer["name"],
        pending=answer["num_pending"],
        ack_pending=answer["num_ack_pending"],
        redelivered=answer["num_redelivered"],
        waiting=answer["num_waiting"],
        delivered_stream_seq=answer["delivered"]["stream_seq"],
        ack_floor_stream_seq=answer["ack_floor"]["stream_seq"],
        config=answer.get("config") or {},
    )


EPOCH = "penstock.epoch"  # in the stream's metadata
