"""dead letter, or message of a span → what is sent again: the original, and which dead letter it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.broker import StoredMessage
from penstock.contracts import subjects
from penstock.events.dead_letter import PREVIOUS, REDRIVES, SEQUENCE, STORED_AT, STREAM
from penstock.services.operator.dead_letters import dead_letter
from penstock.services.operator.dead_letters.chosen import Span
from penstock.services.operator.replay.page_publisher import Outgoing

TRACEPARENT = "traceparent"


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """One message; `dead_letter` is the sequence of its own on DLQ, None where it is of a range."""

    original: Outgoing
    dead_letter: int | None


def of_dead_letter(message: StoredMessage, epochs: Mapping[str, int]) -> FeedMessage:
    """A dead letter with a payload. `epochs` by stream."""
    headers = {PREVIOUS: str(message.sequence), REDRIVES: str(dead_letter.redrives_of(message) + 1)}
    stream = message.headers[STREAM]
    original = Outgoing(
        stream=stream,
        sequence=dead_letter.number(message, SEQUENCE),
        stored_at_ns=dead_letter.number(message, STORED_AT),
        epoch=epochs[stream],
        subject=subjects.parse_dead_letter(message.subject)[1],
        data=message.data,
        headers=headers | _trace(message),
    )
    return FeedMessage(original, message.sequence)


def of_span(span: Span, message: StoredMessage, epochs: Mapping[str, int]) -> FeedMessage:
    """A message that ranges stand for."""
    headers = {PREVIOUS: str(span.previous), REDRIVES: str(span.redrives + 1)}
    original = Outgoing(
        stream=span.stream,
        sequence=message.sequence,
        stored_at_ns=message.stored_at_ns,
        epoch=epochs[span.stream],
        subject=message.subject,
        data=message.data,
        headers=headers | _trace(message),
    )
    return FeedMessage(original, None)


def _trace(message: StoredMessage) -> dict[str, str]:
    found = message.headers.get(TRACEPARENT, "")[:64]
    return {TRACEPARENT: found} if found else {}
