"""A range → its messages, which are still on their stream.

A range says who published them and between which sequences they lie. What the worker handled well in between is
indistinguishable and comes along: handling it again changes nothing, as its version is the same.
"""

from __future__ import annotations

from penstock.broker import JetStream, StoredMessage
from penstock.rpc.messages import DeadLetterHead


def filter_of(subject: str) -> str:
    """The subjects of a range whose first message has `subject`: all of its publisher's on that stream."""
    parts = subject.split(".")
    if parts[0] == "evt" and len(parts) > 4:
        return f"evt.*.{parts[2]}.{parts[3]}.>"
    return f"{parts[0]}.>"


async def messages(jetstream: JetStream, head: DeadLetterHead, *, most: int) -> list[StoredMessage]:
    """The first `most` messages of a range that its stream still has. Raises Unavailable."""
    found: list[StoredMessage] = []
    begin = head.origin_sequence
    while len(found) < most and begin <= head.origin_last:
        page = await jetstream.get_many(
            head.origin_stream, subject=filter_of(head.subject), sequence=begin, most=most - len(found)
        )
        inside = [each for each in page if each.sequence <= head.origin_last]
        found += inside
        if not page or len(inside) < len(page):
            break
        begin = page[-1].sequence + 1
    return found
