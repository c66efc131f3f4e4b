"""request → svc.<service>.<operation>.<caller> → reply, or the error of the answering side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from penstock.broker import Broker, Message
from penstock.contracts import load, subjects
from penstock.errors import NoResponder, PenstockError, Refused, Unavailable
from penstock.rpc.caller import ON_BEHALF, Person, json_object
from penstock.telemetry.traces import TRACEPARENT, request_step

ERROR = "Nats-Service-Error"
TIMEOUT = "x-timeout"  # seconds that the caller waits
AWAY_SECONDS = 0.3  # for which nobody may answer while the only replica of a service renews its connection
AWAY_PAUSE = 0.02


async def ask(
    broker: Broker,
    service: str,
    operation: str,
    request: Mapping[str, Any],
    *,
    on_behalf: Person | None = None,
    timeout: float = 5.0,
    traceparent: str = "",
) -> dict[str, Any]:
    """Asks and awaits the answer. Raises the answering side's error, or SERVICE_UNAVAILABLE, or TIMED_OUT.

    When the connection breaks before the answer, or is renewed while it takes longer than a hand-over waits, an
    idempotent operation is asked once more, in what is left of the timeout; any other raises BROKER_UNAVAILABLE.
    """
    headers: dict[str, str] = {}
    if on_behalf is not None:
        person = {"name": on_behalf.name, "datasets": sorted(on_behalf.datasets), "roles": sorted(on_behalf.roles)}
        headers[ON_BEHALF] = orjson.dumps(person).decode()
    if traceparent:
        headers[TRACEPARENT] = traceparent
    with request_step(service, operation) as span:
        if span is not None and span.context.sampled:
            headers[TRACEPARENT] = span.context.traceparent
        return await _ask(broker, service, operation, orjson.dumps(request), headers, timeout)


async def _ask(
    broker: Broker, service: str, operation: str, payload: bytes, headers: dict[str, str], timeout: float
) -> dict[str, Any]:
    subject = subjects.ask(service, operation, broker.identity)
    deadline = time.monotonic() + timeout
    try:
        message = await _request(broker, subject, payload, headers, timeout)
    except Unavailable as error:
        left = deadline - time.monotonic()
        broke = error.code == "BROKER_UNAVAILABLE" and not broker.closed.is_set()
        if not broke or left <= 0 or not _idempotent(service, operation):
            raise
        message = await _request(broker, subject, payload, headers, left)
    if message.raw_headers and ERROR in message.headers:
        raise _error(message)
    return json_object(message.data)


async def _request(broker: Broker, subject: str, payload: bytes, headers: dict[str, str], timeout: float) -> Message:
    began = time.monotonic()
    while True:
        left = began + timeout - time.monotonic()
        try:
            return await broker.request(subject, payload, timeout=left, headers=headers | {TIMEOUT: f"{left:.3f}"})
        except NoResponder:
            if time.monotonic() + AWAY_PAUSE - began >= min(AWAY_SECONDS, timeout):
                raise
            await asyncio.sleep(AWAY_PAUSE)


def _idempotent(service: str, operation: str) -> bool:
    known = load().services.get(service)
    return known is not None and operation in known.operations and known.operations[operation].idempotent


def _error(message: Message) -> PenstockError:
    try:
        body = orjson.loads(message.data)
        kind = Unavailable if body["retriable"] else Refused
        return kind(body["code"], body["detail"], pointer=body["pointer"], retry_after=body.get("retry_after"))
    except (ValueError, KeyError, TypeError):  # a service that is not ours
        return PenstockError("INTERNAL", message.headers[ERROR])
