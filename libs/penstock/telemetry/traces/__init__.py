"""Traces: one from the request at the edge through streams, workers and stores to the score and the reply.

    begin (ingress, rpc server) ─┐
    consume/traced_batch.py ─────┴▶ Span ─▶ steps below it ─▶ Tracer.finish ─▶ Sender ─▶ collector (OTLP)

Off unless PENSTOCK_TRACES is on; then `tracer()` is None, and a step finds no span to be below. docs/traces.md is for
operators, ADR 14 has the reasons.
"""

from penstock.telemetry.traces.active import NOTHING, Step, current, step
from penstock.telemetry.traces.context import TRACEPARENT, SpanContext, parse, unsampled
from penstock.telemetry.traces.conventions import messages, request_step, rpc, send_step, store_step
from penstock.telemetry.traces.span import MOST_LINKS, Attributes, Span
from penstock.telemetry.traces.switch import start, stop, tracer
from penstock.telemetry.traces.tracer import Tracer

__all__ = [
    "MOST_LINKS",
    "NOTHING",
    "TRACEPARENT",
    "Attributes",
    "Span",
    "SpanContext",
    "Step",
    "Tracer",
    "current",
    "messages",
    "parse",
    "request_step",
    "rpc",
    "send_step",
    "start",
    "step",
    "stop",
    "store_step",
    "tracer",
    "unsampled",
]
