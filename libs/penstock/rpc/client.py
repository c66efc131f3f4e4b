"""request → svc.<service>.<operation>.<caller> → reply, or the error of the answering side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from penstock.broker import Broker, Message
from penstock.contracts import subjects
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.rpc.caller import ON_BEHALF, TRACEPARENT, Person, json_object

ERROR = "Nats-Service-Error"
TIMEOUT = "x-timeout"  # seconds that the caller waits


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
    """Asks and awaits the answer. Raises the answering side's error, or SERVICE_UNAVAILABLE, or TIMED_OUT."""
    headers = {TIMEOUT: f"{timeout:.3f}"}
    if on_behalf is not None:
        person = {"name": on_behalf.name, "datasets": sorted(on_behalf.datasets), "roles": sorted(on_behalf.roles)}
        headers[ON_BEHALF] = orjson.dumps(person).decode()
    if traceparent:
        headers[TRACEPARENT] = traceparent
    subject = subjects.ask(service, operation, broker.identity)
    message = await broker.request(subject, orjson.dumps(request), timeout=timeout, headers=headers)
    if message.raw_headers and ERROR in message.headers:
        raise _error(message)
    return json_object(message.data)


def _error(message: Message) -> PenstockError:
    try:
        body = orjson.loads(message.data)
        kind = Unavailable if body["retriable"] else Refused
        return kind(body["code"], body["detail"], pointer=body["pointer"], retry_after=body.get("retry_after"))
    except (ValueError, KeyError, TypeError):  # a service that is not ours
        return PenstockError("INTERNAL", message.headers[ERROR])
