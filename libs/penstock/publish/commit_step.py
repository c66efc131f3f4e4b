"""a group of submissions → the span of its commit: below the first of the sampled ones, with links to the others."""

from __future__ import annotations

from penstock.publish.submission import Entry
from penstock.telemetry.traces import MOST_LINKS, NOTHING, Span, Step, messages, tracer


def commit_step(group: list[Entry]) -> Step:
    """The span of a group's way to the disk of its stream; none where nothing of it is sampled."""
    if tracer() is None:
        return NOTHING
    found: dict[int, Span] = {}
    for submission, _ in group:
        span = submission.span
        if span is not None and span.context.sampled:
            found[id(submission)] = span
    if not found:
        return NOTHING
    first, *others = found.values()
    attributes = messages("publish", first.name.removeprefix("send "), len(group))
    links = [span.context for span in others[:MOST_LINKS]]
    return Step(first.child("publish group", "client", attributes, links=links))
