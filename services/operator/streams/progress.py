"""looks at a consumer, one after the other → what waits behind its ack floor, and for how long the floor has not moved

The server's pending count alone is no proof of health: it can be 0 while messages lie behind a floor that does not
move, or while the floor is ahead of the stream, as after a restore of older data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.broker import ConsumerInfo, StreamInfo
from penstock.contracts.topology import REPLAY_STREAM

STALLED = 120.0  # seconds without progress, while messages wait, after which it is said


@dataclass(frozen=True, slots=True)
class Position:
    """Where a consumer stands: messages behind its ack floor, and seconds for which it has not moved nonetheless."""

    floor: int
    waiting: int
    stalled: float


class Progress:
    """The looks at one consumer."""

    def __init__(self) -> None:
        self._floor: int | None = None
        self._since = 0.0

    def add(self, now: float, stream: StreamInfo, consumer: ConsumerInfo) -> Position:
        """Adds a look; `now` is a monotonic time in seconds, and `stream` not younger than `consumer`."""
        floor, waiting = consumer.ack_floor_stream_seq, waiting_of(stream, consumer)
        if floor != self._floor or not waiting:
            self._floor, self._since = floor, now
        return Position(floor, waiting, now - self._since)


def waiting_of(stream: StreamInfo, consumer: ConsumerInfo) -> int:
    """Messages that the consumer has not settled: by its own numbers, and by the stream's tail where it takes all."""
    counted = consumer.pending + consumer.ack_pending
    if not _takes_all(stream.config, consumer.config):
        return counted
    return max(counted, stream.last_seq - max(consumer.ack_floor_stream_seq, stream.first_seq - 1), 0)


def is_ahead(stream: StreamInfo, consumer: ConsumerInfo) -> bool:
    """Whether it has settled what the stream does not have; `stream` must be a look after that at the consumer."""
    return consumer.ack_floor_stream_seq > stream.last_seq


def note(stream: str, consumer: str, position: Position) -> str:
    """What an operator should know; empty while there is progress. A replay may wait: its run says why."""
    if position.stalled < STALLED or stream == REPLAY_STREAM:
        return ""
    return (
        f"the consumer {consumer} of {stream} has not progressed for {position.stalled:.0f} s, with"
        f" {position.waiting:,} messages behind its ack floor: `penstock worker status` says what holds its worker"
    )


def ahead_note(stream: str, consumer: str) -> str:
    """For a consumer that would skip all messages up to its floor."""
    return (
        f"the consumer {consumer} of {stream} is ahead of its stream, which was set back, and skips what comes until"
        " the stream reaches it: delete it, and `penstock provision` makes it anew; it then delivers all that the"
        " stream holds"
    )


def _takes_all(stream: dict[str, Any], consumer: dict[str, Any]) -> bool:
    filters = consumer.get("filter_subjects") or [consumer.get("filter_subject") or ">"]
    return ">" in filters or set(filters) >= set(stream.get("subjects") or ())
