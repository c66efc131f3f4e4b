"""A span as the fleet keeps it: a record that costs little, and becomes an OpenTelemetry span in the exporter's thread.

Whether it is exported is decided when its local root ends: the root was sampled, or it failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from penstock.telemetry.traces.context import SpanContext

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float
Attributes = dict[str, Value]
MOST_LINKS = 128  # of one span, the limit of the specification
MOST_CHILDREN = 64  # of one local root; the others are counted in an attribute of it


class Span:
    """One operation. `error` is the type of its failure (contracts/errors.yaml where it is ours), empty without one."""

    __slots__ = (
        "attributes",
        "children",
        "context",
        "dropped",
        "end_ns",
        "error",
        "exported",
        "kind",
        "links",
        "name",
        "parent",
        "root",
        "start_ns",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        context: SpanContext,
        parent: SpanContext | None = None,
        *,
        root: Span | None = None,
        attributes: Attributes | None = None,
        links: Sequence[SpanContext] = (),
        start_ns: int = 0,
    ) -> None:
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.root = root or self
        self.attributes: Attributes = {} if attributes is None else attributes
        self.links = links
        self.start_ns = start_ns or time.time_ns()
        self.end_ns = 0
        self.error = ""
        self.children: list[Span] = []  # of a root: all spans below it
        self.dropped = 0
        self.exported: bool | None = None  # of a root: None until it has ended

    def child(
        self, name: str, kind: Kind, attributes: Attributes | None = None, *, links: Sequence[SpanContext] = ()
    ) -> Span:
        """A span below this one; it belongs to the same local root."""
        context = self.context.child()
        return Span(name, kind, context, self.context, root=self.root, attributes=attributes, links=links)

    def copy(self, context: SpanContext, parent: SpanContext | None = None, *, root: Span | None = None) -> Span:
        """The same operation as a span of its own, at another place."""
        copy = Span(self.name, self.kind, context, parent, root=root, attributes={**self.attributes})
        copy.start_ns, copy.end_ns, copy.error = self.start_ns, self.end_ns, self.error
        return copy

    def end(self, error: str = "") -> None:
        """It is over."""
        self.end_ns = time.time_ns()
        self.error = error or self.error
