"""The headers of a dead letter, as the DLQ stream keeps it."""

from __future__ import annotations

from collections.abc import Mapping

# Headers of a dead letter
CODE = "x-penstock-code"
REASON = "x-penstock-reason"
WORKER = "x-penstock-worker"
STREAM = "x-penstock-stream"
SEQUENCE = "x-penstock-sequence"
STORED_AT = "x-penstock-stored-at"  # Unix nanoseconds
DELIVERED = "x-penstock-delivered"
KEY = "x-penstock-key"
FORM = "x-penstock-form"  # "full" or "range"
COUNT = "x-penstock-count"  # of a range: the messages in it
# Headers of a dead letter whose message was replayed
RUN = "x-penstock-run"
PREVIOUS = "x-penstock-previous"  # sequence on DLQ of the dead letter whose redrive failed
REDRIVES = "x-penstock-redrives"  # how often the message was redriven before it failed again

MOST_REDRIVES = 2  # of a message; the dead letter of one that failed after so many is parked


def number(headers: Mapping[str, str], name: str) -> int | None:
    """A header's number, of at most 19 digits; None where it is missing or none."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
