"""A request → its server span: below the span of the caller, and of the edge, when it came that way.

It goes around HttpApp where traces are on, so that where they are off nothing is asked of a request.
"""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.services.ingress.access.credentials import AUTHENTICATED
from penstock.services.ingress.access.edge_identity import RECEIVED, received_ns
from penstock.services.ingress.http.connections import HEALTH
from penstock.services.ingress.http.dispatch import EVENTS, route_of
from penstock.telemetry.traces import TRACEPARENT, Attributes, Span, SpanContext, Step, Tracer, parse

_TRACEPARENT = TRACEPARENT.encode()
_GONE = 499  # the client went before it had an answer, as dispatch.py counts it


class TracedApp:
    """An ASGI application that answers with another one, within a span."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["path"] in HEALTH:  # asked by machines, every few seconds
            await self._app(scope, receive, send)
            return
        parent, edge = _from_headers(scope)
        sampled = self._tracer.samples(parent)
        began_ns = time.time_ns()
        status = _GONE

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        if scope["path"] == EVENTS and not sampled:
            # Nearly all requests: nothing is recorded of them but a failure, as it ends.
            await self._app(scope, receive, noted)
            if status < 500:
                return
            span = self._span(scope, parent, edge, began_ns, sampled=False)
        else:
            span = self._span(scope, parent, edge, began_ns, sampled=sampled)
            with Step(span):
                await self._app(scope, receive, noted)
        span.attributes["http.response.status_code"] = status
        span.attributes["http.request.header.x-request-id"] = scope["request_id"]
        if sampled and AUTHENTICATED not in scope:
            self._tracer.withdraw(span)  # strangers cannot use up what callers may have traced
        # What a caller may not do is no failure of the fleet.
        self._tracer.finish(span, str(status) if status >= 500 else "")

    def _span(self, scope: Scope, parent: SpanContext | None, edge: bytes, began_ns: int, *, sampled: bool) -> Span:
        method, route = scope["method"], route_of(scope["path"])
        attributes: Attributes = {
            "http.request.method": method,
            "http.route": route,
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
        }
        span = self._tracer.root(f"{method} {route}", "server", parent, attributes, sampled=sampled, start_ns=began_ns)
        if edge:
            _through_edge(span, edge)
        return span


def _from_headers(scope: Scope) -> tuple[SpanContext | None, bytes]:
    """The caller's context, and when the edge had the request."""
    given: list[bytes] = []
    edge = b""
    for name, value in scope["headers"]:
        if name == _TRACEPARENT:
            given.append(value)
        elif name == RECEIVED:
            edge = value
    return (parse(given[0].decode("latin-1")) if len(given) == 1 else None), edge


def _through_edge(span: Span, received: bytes) -> None:
    """HAProxy sends no spans: its part is from the moment that it had the head until the request was here."""
    now_ns = time.time_ns()
    start_ns = min(received_ns({RECEIVED: received}, now_ns), now_ns)
    edge = Span("edge", "server", span.context.child(), span.parent, root=span, start_ns=start_ns)
    edge.end_ns = span.start_ns
    span.parent = edge.context
    span.children.append(edge)
