"""a batch of deliveries → one span with links to the sampled events, and for each of these a span in its own trace.

An event's span has below it what was done for its batch (the write to the store, the model's turn), once each: so its
trace tells the whole way, and the batch's own trace tells each request.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Done, Drop, Outcome
from penstock.telemetry.traces import MOST_LINKS, TRACEPARENT, Span, SpanContext, Tracer, messages, parse, unsampled

MOST_FAILED = 10  # events of a batch that were not sampled, and have a span because they failed
SIZE = "db.operation.batch.size"
REQUESTS = "penstock.requests"  # to the store, where the batch took more than one
RETRIED = "RETRIED"  # error type: the message comes again

_Traced = tuple[int, SpanContext | None, SpanContext]  # place in the batch, the context that came, the event's span


class TracedBatch:
    """One batch. The headers of its sampled events name their new spans from now on, for what is published of them."""

    def __init__(self, tracer: Tracer, batch: Sequence[Delivery], stream: str, consumer: str) -> None:
        self._tracer = tracer
        self._batch = batch
        self._stream = stream
        self._consumer = consumer
        self._traced = self._sampled()
        attributes = messages("process", stream, len(batch))
        attributes["messaging.consumer.group.name"] = consumer
        links = [came for _, came, _ in self._traced[:MOST_LINKS] if came is not None]
        self._name = f"process {stream}"
        self.span = tracer.root(self._name, "consumer", None, attributes, sampled=bool(self._traced), links=links)

    def _sampled(self) -> list[_Traced]:
        found: list[tuple[int, SpanContext]] = []
        for place, delivery in enumerate(self._batch):
            # Nearly all were stored by group commit, with nothing but its headers: seen without parsing.
            if delivery.raw_headers is None or not delivery.headers:
                continue
            came = parse(delivery.headers.get(TRACEPARENT))
            if came is not None and came.sampled:
                found.append((place, came))
        if not found:
            return []
        granted = self._tracer.take(len(found))
        traced: list[_Traced] = [(place, came, came.child()) for place, came in found[:granted]]
        for place, _, own in traced:
            self._batch[place].headers[TRACEPARENT] = own.traceparent
        for place, came in found[granted:]:
            self._batch[place].headers[TRACEPARENT] = unsampled(came.traceparent)
        return traced

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """The batch is settled."""
        failed = {place: _error(outcome) for place, outcome in enumerate(outcomes) if type(outcome) is not Done}
        steps = self.span.children
        if not self._tracer.finish(self.span, next(iter(failed.values()), "")):
            return
        merged = self._merged(steps)
        sampled = {place for place, _, _ in self._traced}
        for place in [place for place in failed if place not in sampled][:MOST_FAILED]:
            came = parse(self._batch[place].headers.get(TRACEPARENT))
            self._traced.append((place, came, (came or self.span.context).child()))
        spans: list[Span] = []
        for place, came, own in self._traced:
            spans += self._event(place, came, own, failed.get(place, ""), merged)
        self._tracer.add(spans)

    def _event(
        self, place: int, came: SpanContext | None, own: SpanContext, error: str, steps: Sequence[Span]
    ) -> list[Span]:
        attributes = messages("process", self._stream)
        attributes["messaging.consumer.group.name"] = self._consumer
        attributes["messaging.message.id"] = f"{self._stream}:{self._batch[place].sequence}"
        links = (self.span.context,)
        span = Span(
            self._name, "consumer", own, came or self.span.context, attributes=attributes, links=links,
            start_ns=self.span.start_ns,
        )  # fmt: skip
        span.end_ns, span.error = self.span.end_ns, error
        return [span, *(step.copy(own.child(), own, root=span) for step in steps)]

    def _merged(self, steps: Sequence[Span]) -> list[Span]:
        """What was done for the batch, by name: from the beginning of the first to the end of the last."""
        found: dict[str, Span] = {}
        for step in steps:
            if step.parent is not self.span.context:
                continue
            first = found.get(step.name)
            if first is None:
                found[step.name] = step.copy(self.span.context)
                continue
            first.end_ns = max(first.end_ns, step.end_ns)
            first.error = first.error or step.error
            first.attributes[REQUESTS] = int(first.attributes.get(REQUESTS, 1)) + 1
            if SIZE in step.attributes:
                first.attributes[SIZE] = len(self._batch)  # in parts, or some of it more than once
        return list(found.values())


def _error(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Drop) else RETRIED
