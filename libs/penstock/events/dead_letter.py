"""The headers of a dead letter, as the DLQ stream keeps it."""

from __future__ import annotations

# Headers of a letter
CODE = "x-penstock-code"
REASON = "x-penstock-reason"
WORKER = "x-penstock-worker"
STREAM = "x-penstock-stream"
SEQUENCE = "x-penstock-sequence"
STORED_AT = "x-penstock-stored-at"  # Unix nanoseconds
DELIVERED = "x-penstock-delivered"
KEY = "x-penstock-key"
FORM = "x-penstock-form"  # "full" or "range"


def publisher_of(subject: str) -> str:
    """Whom a refusal counts against: the publisher of an event, else the first token (a score's is `score`)."""
    parts = subject.split(".", 4)
    return parts[3] if parts[0] == "evt" and len(parts) > 3 else parts[0]
