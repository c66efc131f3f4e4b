"""JetStream API (JSON over request/reply) → streams, consumers and stored messages as plain values.

Subjects begin with the prefix that the account sees: `$JS.API` in CORE, `$JS.core.API` in APP. Direct get: ADR-31.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import orjson

from penstock.broker.jetstream_answers import (
    ConsumerInfo,
    StoredMessage,
    StreamInfo,
    change_error,
    consumer_info,
    error_of,
    get_error,
    stored_message,
    stream_info,
)
from penstock.broker.protocol import Message
from penstock.broker.request_many import Requester, request_many
from penstock.errors import PenstockError, Unavailable

MOST_PER_GET = 1000  # messages in one batch direct get
CHANGE_SECONDS = 10.0  # for a call that makes or changes something

END_OF_BATCH = (204, 404)  # no more messages; no message at all


class Connection(Requester, Protocol):
    """What the API needs of a connection; Broker has it."""

    async def request(self, subject: str, payload: bytes, *, timeout: float) -> Message: ...


class JetStream:
    """The JetStream API over one connection. Time-outs in seconds."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self.prefix = prefix
        self._connection = connection

    async def api(self, operation: str, body: dict[str, Any] | None = None, *, timeout: float = 5.0) -> dict[str, Any]:
        """One call of the API, e.g. `STREAM.INFO.EVENTS_HTTP`. Raises NOT_FOUND, CONFLICT, … by the server's error."""
        return await self._call(operation, body, timeout, error_of)

    async def _call(
        self,
        operation: str,
        body: dict[str, Any] | None,
        timeout: float,
        error_for: Callable[[dict[str, Any], str], PenstockError],
    ) -> dict[str, Any]:
        payload = orjson.dumps(body) if body is not None else b""
        message = await self._connection.request(f"{self.prefix}.{operation}", payload, timeout=timeout)
        answer: dict[str, Any] = orjson.loads(message.data)
        if "error" in answer:
            raise error_for(answer["error"], operation)
        return answer

    # -- streams and consumers

    async def stream_info(self, stream: str, *, timeout: float = 5.0) -> StreamInfo:
        """State and configuration of a stream. Raises NOT_FOUND."""
        return stream_info(await self.api(f"STREAM.INFO.{stream}", timeout=timeout))

    async def subjects_of(self, stream: str, filter: str, *, timeout: float = 10.0) -> list[str]:
        """Every subject of which the stream holds messages and that `filter` matches. Costs the server a walk over
        them."""
        found: list[str] = []
        while True:
            body = {"subjects_filter": filter, "offset": len(found)}
            answer = await self.api(f"STREAM.INFO.{stream}", body, timeout=timeout)
            page = answer["state"].get("subjects") or {}
            found += page
            if not page or len(found) >= answer.get("total", 0):
                return found

    async def consumer_info(self, stream: str, consumer: str, *, timeout: float = 5.0) -> ConsumerInfo:
        """State and configuration of a consumer. Raises NOT_FOUND."""
        return consumer_info(await self.api(f"CONSUMER.INFO.{stream}.{consumer}", timeout=timeout))

    async def stream_names(self, *, timeout: float = 5.0) -> list[str]:
        """The streams there are. CORE only."""
        return (await self.api("STREAM.NAMES", timeout=timeout)).get("streams") or []

    async def consumer_names(self, stream: str, *, timeout: float = 5.0) -> list[str]:
        """The consumers of a stream. CORE only."""
        return (await self.api(f"CONSUMER.NAMES.{stream}", timeout=timeout)).get("consumers") or []

    async def create_stream(self, config: dict[str, Any]) -> StreamInfo:
        """Makes a stream; making one that is there with the same configuration changes nothing. CORE only."""
        return stream_info(await self._change(f"STREAM.CREATE.{config['name']}", config))

    async def update_stream(self, config: dict[str, Any]) -> StreamInfo:
        """Changes a stream to `config`. CORE only. Raises PROVISION_REFUSED for what cannot change."""
        return stream_info(await self._change(f"STREAM.UPDATE.{config['name']}", config))

    async def ensure_consumer(
        self,
        stream: str,
        config: dict[str, Any],
        *,
        action: Literal["", "create", "update"] = "",
        timeout: float = CHANGE_SECONDS,
    ) -> ConsumerInfo:
        """Makes the durable consumer `config["name"]`, or changes it to `config`; with `action` only the one or the
        other. From APP only those of replays. Raises PROVISION_REFUSED."""
        body = {"stream_name": stream, "config": config, "action": action}
        return consumer_info(await self._change(f"CONSUMER.CREATE.{stream}.{config['name']}", body, timeout))

    async def delete_consumer(self, stream: str, consumer: str) -> None:
        """Deletes a consumer. From APP only those of replays. Raises NOT_FOUND."""
        await self.api(f"CONSUMER.DELETE.{stream}.{consumer}", timeout=CHANGE_SECONDS)

    async def _change(self, operation: str, body: dict[str, Any], timeout: float = CHANGE_SECONDS) -> dict[str, Any]:
        return await self._call(operation, body, timeout, change_error)

    # -- stored messages

    async def get(
        self,
        stream: str,
        *,
        sequence: int | None = None,
        last_by_subject: str | None = None,
        start_time: str | None = None,
        timeout: float = 5.0,
    ) -> StoredMessage:
        """One stored message: by sequence, the last on a subject, or the first since an RFC 3339 time. Raises
        NOT_FOUND."""
        wanted = {"seq": sequence, "last_by_subj": last_by_subject, "start_time": start_time}
        body = {name: value for name, value in wanted.items() if value is not None}
        message = await self._connection.request(self._direct_get(stream), orjson.dumps(body), timeout=timeout)
        if message.status:
            raise get_error(message, stream)
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
        found: list[StoredMessage] = []

        def take(message: Message) -> bool:
            status = message.status
            if not status:
                found.append(stored_message(message))
            elif status not in END_OF_BATCH:
                raise get_error(message, stream)
            return status != 0

        payload = orjson.dumps(body)
        if not await request_many(self._connection, self._direct_get(stream), payload, take, timeout=timeout):
            raise Unavailable("TIMED_OUT", f"{stream} gave no end of batch within {timeout} s", retry_after=1)
        return found

    def _direct_get(self, stream: str) -> str:
        return f"{self.prefix}.DIRECT.GET.{stream}"
