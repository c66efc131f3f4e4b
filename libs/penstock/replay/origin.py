"""message on REPLAY (replay.<target>.<original subject>, headers say where it came from) ⇄ delivery of its origin.

What a worker decodes, stores and dead-letters is then the original: its stream and sequence, and so its version, the
time it was stored, and its subject.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.consume import Delivery
from penstock.contracts import subjects
from penstock.contracts.topology import REPLAY_STREAM
from penstock.events.dead_letter import PREVIOUS, REDRIVES, RUN, SEQUENCE, STORED_AT, STREAM

STREAM_NAME = REPLAY_STREAM
SCORES = "SCORES"
EPOCH = "x-penstock-epoch"  # of the original stream when it stored the message; without it: the present one
EVENT_ID = "x-penstock-event-id"  # the event's own id, for subscribers
CARRIED = (PREVIOUS, REDRIVES)  # from a message of a redrive to the dead letter of its next failure


def subject(target: str, original: str) -> str:
    """Where a message for the replay lanes of a worker, or for a subscriber, is published."""
    return subjects.replay(target, original)


def headers(run: str, *, stream: str, sequence: int, stored_at_ns: int, epoch: int = 0) -> dict[str, str]:
    """The headers that a message of a run needs, besides those of its original."""
    found = {RUN: run, STREAM: stream, SEQUENCE: str(sequence), STORED_AT: str(stored_at_ns)}
    if epoch:
        found[EPOCH] = str(epoch)
    return found


def handled_as(delivery: Delivery) -> str:
    """The stream whose handler takes a restored delivery. A score names the event that it is of, and its place."""
    return SCORES if delivery.subject.startswith("score.") else delivery.stream


def restore(delivery: Delivery) -> str:
    """Makes a delivery of REPLAY the one of its origin; it is still settled where it came from. Returns its run.

    Raises ValueError when its subject or headers do not name an origin; then it is unchanged.
    """
    found: Mapping[str, str] = delivery.headers
    parts = delivery.subject.split(".", 2)
    if len(parts) < 3 or parts[0] != "replay":
        raise ValueError(f"{delivery.subject!r} is not replay.<target>.<original subject>")
    try:
        sequence, stored_at_ns, epoch = int(found[SEQUENCE]), int(found[STORED_AT]), int(found.get(EPOCH, 0))
        stream, run = found[STREAM], found[RUN]
    except KeyError as missing:
        raise ValueError(f"the header {missing.args[0]} is missing") from None
    delivery.subject = parts[2]
    delivery.stream, delivery.sequence, delivery.stored_at_ns, delivery.epoch = stream, sequence, stored_at_ns, epoch
    return run
