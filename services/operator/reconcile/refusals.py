"""dead letters of a worker → which accepted messages it refused: single ones, or some within a range"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.rpc.messages import DeadLetterHead

Messages = tuple[str, str]  # stream and publisher


@dataclass(slots=True, eq=False)
class Span:
    """Among the events of a publisher from `first` to `last`, both included, at most `count` were refused."""

    first: int
    last: int
    count: int


class Refusals:
    """Of one worker. `merge` after the last `add`, before any question."""

    def __init__(self) -> None:
        self._single: set[tuple[str, int]] = set()
        self._spans: dict[Messages, list[Span]] = defaultdict(list)

    def add(self, head: DeadLetterHead) -> None:
        """A dead letter whose messages were not redriven."""
        if head.form == "range":
            span = Span(head.origin_sequence, head.origin_last, head.messages)
            self._spans[head.origin_stream, head.publisher].append(span)
        else:
            self._single.add((head.origin_stream, head.origin_sequence))

    def merge(self) -> None:
        """Makes the spans ready: a flood leaves thousands of them, and every event is looked up."""
        self._spans = defaultdict(list, {messages: merged(spans) for messages, spans in self._spans.items()})

    def has(self, stream: str, sequence: int) -> bool:
        """Whether a dead letter is of this very message."""
        return (stream, sequence) in self._single

    def span(self, stream: str, publisher: str, sequence: int) -> Span | None:
        """The span within which this message may be one of those refused."""
        spans = self._spans.get((stream, publisher), [])
        at = bisect_right(spans, sequence, key=_first) - 1
        return spans[at] if at >= 0 and sequence <= spans[at].last else None

    def leave_out(self, stream: str, publisher: str, sequence: int) -> None:
        """A message that is no event: it is one of those that its range counted, and explains no missing event."""
        span = self.span(stream, publisher, sequence)
        if span is not None and span.count and not self.has(stream, sequence):
            span.count -= 1


@dataclass(slots=True)
class RefusedEvents:
    """Of the events of a dataset and period, by their keys. `maybe`: those within a span."""

    single: set[int] = field(default_factory=set)
    maybe: Mapping[Span, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, key: int, span: Span | None) -> None:
        """An event that was refused, or may have been as one of a span."""
        (self.single if span is None else self.maybe[span]).add(key)

    @property
    def number(self) -> int:
        """How many were refused at most: a span stands for no more than it counted."""
        return len(self.single) + sum(min(span.count, len(keys - self.single)) for span, keys in self.maybe.items())


def merged(spans: Iterable[Span]) -> list[Span]:
    """In their order; those that overlap, as of several error codes, are one."""
    found: list[Span] = []
    for span in sorted(spans, key=_first):
        if found and span.first <= found[-1].last:
            before = found.pop()
            span = Span(before.first, max(before.last, span.last), before.count + span.count)
        found.append(span)
    return found


def _first(span: Span) -> int:
    return span.first
