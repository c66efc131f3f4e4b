"""Which traces are recorded: a share of those that begin here, those that a caller asks for, those that fail; each
bounded by a number in a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from penstock.telemetry.traces import context, metrics
from penstock.telemetry.traces.allowance import Allowance
from penstock.telemetry.traces.context import SpanContext
from penstock.telemetry.traces.span import Attributes, Kind, Span


class Tracer:
    """The decisions of one process. `send` queues finished spans. `ratio`: of the requests that come without a
    traceparent; `events` and `errors`: traced events, and failed roots that were not sampled, in a second."""

    def __init__(self, send: Callable[[Sequence[Span]], None], *, ratio: float, events: float, errors: float) -> None:
        self._send = send
        self._ratio = ratio
        self._events = Allowance(events)
        self._errors = Allowance(errors)

    def samples(self, parent: SpanContext | None) -> bool:
        """Whether a request is traced: as its caller says, else by the ratio."""
        wanted = random.random() < self._ratio if parent is None else parent.sampled  # noqa: S311 - not a secret
        return wanted and bool(self.take(1))

    def begin(self, name: str, kind: Kind, parent: SpanContext | None, attributes: Attributes) -> Span:
        """A local root below `parent`."""
        return self.root(name, kind, parent, attributes, sampled=self.samples(parent))

    def root(
        self,
        name: str,
        kind: Kind,
        parent: SpanContext | None,
        attributes: Attributes,
        *,
        sampled: bool,
        links: Sequence[SpanContext] = (),
        start_ns: int = 0,
    ) -> Span:
        """A local root of which it is known whether it is sampled."""
        if parent is None:
            own = context.root(sampled=sampled)
        else:
            own = SpanContext(parent.trace_id, context.new_span_id(), sampled)
        return Span(name, kind, own, parent, attributes=attributes, links=links, start_ns=start_ns)

    def take(self, events: int) -> int:
        """How many of so many events may be traced now."""
        granted = self._events.take(events)
        if granted < events:
            metrics.OVER_LIMIT.inc(events - granted)
        return granted

    def withdraw(self, root: Span) -> None:
        """A sampled root is not sampled after all, and does not count. Before it is finished."""
        root.context = replace(root.context, sampled=False)
        self._events.give_back()

    def finish(self, root: Span, error: str = "") -> bool:
        """A local root is over; says whether it is exported, with all below it."""
        root.end(error)
        root.exported = root.context.sampled or bool(root.error and self._errors.take())
        if root.exported:
            if root.dropped:
                root.attributes["penstock.spans.dropped"] = root.dropped
            self._send([root, *root.children])
        root.children = []
        return root.exported

    def add(self, spans: Sequence[Span]) -> None:
        """Exports spans of roots that are exported."""
        if spans:
            self._send(spans)
