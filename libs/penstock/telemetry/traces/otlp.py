"""Span → OpenTelemetry's ReadableSpan → OTLP over HTTP. The only module that imports OpenTelemetry.

The exporter reads OTEL_EXPORTER_OTLP_* itself, the resource OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace.status import Status, StatusCode

from penstock.telemetry.traces.context import SpanContext
from penstock.telemetry.traces.span import Kind, Span

TIMEOUT = 2.0  # seconds for one export with its retries; nobody waits for it but the stop
_KINDS: dict[Kind, trace.SpanKind] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
_SCOPE = InstrumentationScope("penstock", version("penstock"))
_UNSET, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
_FLAGS = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class Exporter:
    """Sends the spans of the process `service`, which is replica `instance`."""

    def __init__(self, service: str, instance: str) -> None:
        own = {
            "service.namespace": "penstock",
            "service.name": service,
            "service.instance.id": instance,
            "service.version": version("penstock"),
        }
        # What the environment says counts more than our own.
        self._resource = Resource.create(own).merge(OTELResourceDetector().detect())
        given = "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ or "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT" in os.environ
        self._exporter = OTLPSpanExporter(timeout=None if given else TIMEOUT)
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # sender.py says it, once for each outage
        logging.getLogger("urllib3").setLevel(logging.ERROR)

    def export(self, spans: Sequence[Span]) -> bool:
        """Whether the collector has them."""
        return self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def abort(self) -> None:
        """Ends retries."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        attributes = {**span.attributes, "error.type": span.error} if span.error else span.attributes
        if span.dropped:
            attributes = {**attributes, "penstock.spans.dropped": span.dropped}
        return ReadableSpan(
            name=span.name,
            context=_context(span.context, is_remote=False),
            parent=None if span.parent is None else _context(span.parent, is_remote=span.root is span),
            resource=self._resource,
            attributes=attributes,
            links=[trace.Link(_context(link, is_remote=True)) for link in span.links],
            kind=_KINDS[span.kind],
            instrumentation_scope=_SCOPE,
            status=_ERROR if span.error else _UNSET,
            start_time=span.start_ns,
            end_time=max(span.end_ns, span.start_ns),
        )


def _context(context: SpanContext, *, is_remote: bool) -> trace.SpanContext:
    return trace.SpanContext(context.trace_id, context.span_id, is_remote, _FLAGS)
