"""The trace context that the events of a request carry: nothing, what the caller gave, or a span of their own.

Each event that is traced costs a span in every worker, so of a batch only the first ones are.
"""

from __future__ import annotations

import re

from penstock.publish import Outgoing
from penstock.telemetry.traces import NOTHING, TRACEPARENT, Span, Step, current, messages, tracer, unsampled

MOST_TRACED = 10  # events of one request

_FORM = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


def given_context(headers: dict[bytes, bytes]) -> dict[str, str] | None:
    """The header that events of this request carry, unless they are traced themselves. Where traces are on, nobody
    downstream records an event because its caller says so: that is decided here."""
    given = headers.get(b"traceparent")
    if not given or not _FORM.match(given):
        return None
    text = given.decode()
    return {TRACEPARENT: text if tracer() is None else unsampled(text)}


def send_step(stream: str, outgoing: list[Outgoing], *, first: bool) -> Step:
    """The sending of these events. They are the `first` of a request that is sent in portions: then some of them carry
    its context from now on, if it is sampled."""
    request = current()
    if request is None:
        return NOTHING
    span = request.child(f"send {stream}", "producer", messages("send", stream, len(outgoing)))
    if first and request.context.sampled:
        _carry(span, outgoing)
    return Step(span)


def _carry(span: Span, outgoing: list[Outgoing]) -> None:
    own = tracer()
    granted = own.take(min(len(outgoing), MOST_TRACED)) if own is not None else 0
    header = {TRACEPARENT: span.context.traceparent}
    for index, message in enumerate(outgoing[:granted]):
        outgoing[index] = message._replace(headers={**(message.headers or {}), **header})
