"""Steps of the fleet, named and described by OpenTelemetry's semantic conventions (HTTP, messaging, database, RPC)."""

from __future__ import annotations

from penstock.telemetry.traces.active import NOTHING, Step, current
from penstock.telemetry.traces.span import Attributes

SYSTEM, RPC = "nats", "nats"


def messages(operation: str, destination: str, count: int | None = None) -> Attributes:
    """Attributes of a span that sends or processes messages of a stream; `count`: of a batch."""
    attributes: Attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
    }
    if count is not None:
        attributes["messaging.batch.message_count"] = count
    return attributes


def send_step(destination: str, count: int) -> Step:
    """Messages on their way to a stream, until they are on its disk."""
    span = current()
    if span is None:
        return NOTHING
    return Step(span.child(f"send {destination}", "producer", messages("send", destination, count)))


def store_step(system: str, operation: str, target: str = "", size: int = 0) -> Step:
    """A request to a store; `target` is a table or index, `size` the number of records of a batch."""
    span = current()
    if span is None:
        return NOTHING
    attributes: Attributes = {"db.system.name": system, "db.operation.name": operation}
    if target:
        attributes["db.collection.name"] = target
    if size:
        attributes["db.operation.batch.size"] = size
    return Step(span.child(f"{operation} {target}" if target else operation, "client", attributes))


def rpc(service: str, operation: str) -> Attributes:
    """Attributes of both ends of a request."""
    return {"rpc.system": RPC, "rpc.service": service, "rpc.method": operation}


def request_step(service: str, operation: str) -> Step:
    """A request to a service of the fleet, until its reply."""
    span = current()
    if span is None:
        return NOTHING
    return Step(span.child(f"{service}/{operation}", "client", rpc(service, operation)))
