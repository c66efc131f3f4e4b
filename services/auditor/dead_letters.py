"""dead letter → who gave up on what, and why: the worker, the code and the origin, never the payload."""

from __future__ import annotations

from typing import Any

from penstock.broker import StoredMessage
from penstock.contracts import subjects
from penstock.events import dead_letter, timestamps

# The reason is left out: it may quote the event.
_MEMBERS = {
    "code": dead_letter.CODE,
    "form": dead_letter.FORM,
    "stream": dead_letter.STREAM,
    "sequence": dead_letter.SEQUENCE,
    "delivered": dead_letter.DELIVERED,
    "key": dead_letter.KEY,
}
_NUMBERS = ("sequence", "delivered")
_MOST = 2**53 - 1  # that a record's number may be; a larger one stays text
LONGEST = 128  # characters; the headers are the worker's


def letter(message: StoredMessage) -> dict[str, Any]:
    """The entry of a letter. The worker is the one that the server let publish it: it is in the subject."""
    worker, original = subjects.parse_dead_letter(message.subject)
    entry: dict[str, Any] = {
        "dead_letter": message.sequence,
        "time": timestamps.text(message.stored_at_ns),
        "actor": worker,
        "identity": subjects.publisher_of(original),
    }
    for name, header in _MEMBERS.items():
        if value := message.headers.get(header, "")[:LONGEST]:
            number = dead_letter.number(message.headers, header) if name in _NUMBERS else None
            entry[name] = value if number is None or number > _MOST else number
    return entry
