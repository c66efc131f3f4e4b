"""dead letter → who gave up on what, and why: the worker, the code and the origin, never the payload."""

from __future__ import annotations

from typing import Any

from penstock.broker.jetstream import StoredMessage
from penstock.consume import dead_letters
from penstock.consume.dead_letters import publisher_of
from penstock.events import timestamps

# The reason is left out: it may quote the event.
_MEMBERS = {
    "code": dead_letters.CODE,
    "form": dead_letters.FORM,
    "stream": dead_letters.STREAM,
    "sequence": dead_letters.SEQUENCE,
    "delivered": dead_letters.DELIVERED,
    "key": dead_letters.KEY,
}
_NUMBERS = ("sequence", "delivered")
LONGEST = 128  # characters; the headers are the worker's


def letter(message: StoredMessage) -> dict[str, Any]:
    """The entry of a letter. The worker is the one that the server let publish it: it is in the subject."""
    _, worker, original = message.subject.split(".", 2)
    entry: dict[str, Any] = {
        "letter": message.sequence,
        "time": timestamps.text(message.stored_at_ns),
        "actor": worker,
        "identity": publisher_of(original),
    }
    for name, header in _MEMBERS.items():
        if value := message.headers.get(header, "")[:LONGEST]:
            entry[name] = int(value) if name in _NUMBERS and value.isdigit() else value
    return entry
