"""W3C trace context: `00-<trace id>-<span id>-<flags>` ↔ SpanContext."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

TRACEPARENT = "traceparent"
SAMPLED = 1  # the flag; other flags are not passed on

_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})\Z")


@dataclass(frozen=True, slots=True)
class SpanContext:
    """A span, wherever it is recorded. `sampled`: whether it is."""

    trace_id: int
    span_id: int
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The header's value."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{'01' if self.sampled else '00'}"

    def child(self) -> SpanContext:
        """A new span of the same trace."""
        return SpanContext(self.trace_id, new_span_id(), self.sampled)


def parse(traceparent: str | None) -> SpanContext | None:
    """What a header says; None where there is none, or it is not valid."""
    found = _FORM.match(traceparent) if traceparent else None
    if found is None:
        return None
    return SpanContext(int(found[1], 16), int(found[2], 16), bool(int(found[3], 16) & SAMPLED))


def unsampled(traceparent: str) -> str:
    """The same context, of which nobody downstream records anything."""
    return f"{traceparent[:-2]}00"


def root(*, sampled: bool) -> SpanContext:
    """The first span of a new trace."""
    return SpanContext(random.getrandbits(128) or 1, new_span_id(), sampled)


def new_span_id() -> int:
    """As the SDK makes them; nothing is kept secret by an id."""
    return random.getrandbits(64) or 1
