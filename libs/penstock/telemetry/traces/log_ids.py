"""trace_id, span_id and trace_flags in each log line that is written within a span."""

from __future__ import annotations

from structlog.typing import EventDict

from penstock.telemetry.traces.active import current


def add_trace_ids(_: object, __: str, line: EventDict) -> EventDict:
    """A processor of structlog."""
    span = current()
    if span is not None:
        context = span.context
        line["trace_id"] = f"{context.trace_id:032x}"
        line["span_id"] = f"{context.span_id:016x}"
        line["trace_flags"] = "01" if context.sampled else "00"
    return line
