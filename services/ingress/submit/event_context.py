"""The trace context that the events of a request carry: nothing, what the caller gave, or a span of their own.

Each event that is traced costs a span in every worker, so of a batch only the first ones are.
"""

from __future__ import annotations

from penstock.publish import Outgoing
from penstock.telemetry.traces import TRACEPARENT, Span, Step, parse, send_step, tracer, unsampled

MOST_TRACED = 10  # events of one request


def given_context(headers: dict[bytes, bytes]) -> dict[str, str] | None:
    """The header that events of this request carry, unless they are traced themselves. Where traces are on, nobody
    downstream records an event because its caller says so: that is decided here."""
    given = headers.get(b"traceparent")
    text = given.decode("latin-1") if given else None
    if text is None or parse(text) is None:
        return None
    return {TRACEPARENT: text if tracer() is None else unsampled(text)}


def sending(stream: str, outgoing: list[Outgoing], *, first: bool) -> Step:
    """The sending of these events. They are the `first` of a request that is sent in portions: then some of them carry
    its context from now on, if it is sampled."""
    step = send_step(stream, len(outgoing))
    if first and step.span is not None and step.span.context.sampled:
        _carry(step.span, outgoing)
    return step


def _carry(span: Span, outgoing: list[Outgoing]) -> None:
    own = tracer()
    granted = own.take(min(len(outgoing), MOST_TRACED)) if own is not None else 0
    header = {TRACEPARENT: span.context.traceparent}
    for index, message in enumerate(outgoing[:granted]):
        outgoing[index] = message._replace(headers={**(message.headers or {}), **header})
