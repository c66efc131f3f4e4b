"""message of DLQ → what it says of itself. Headers are the worker's, so none is trusted to be there or to be whole."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson

from penstock.broker import StoredMessage
from penstock.contracts import load, subjects
from penstock.events import dead_letter, timestamps
from penstock.events.dead_letter import (
    CODE,
    COUNT,
    FORM,
    KEY,
    MOST_REDRIVES,
    PREVIOUS,
    REASON,
    REDRIVES,
    RUN,
    SEQUENCE,
    STREAM,
)
from penstock.rpc.messages import DeadLetterForm, DeadLetterHead, DeadLetterState

UNKNOWN = "UNKNOWN"  # in place of a code that the contracts do not have
_POINTER = re.compile(r"\(at (/.*)\)\Z", re.DOTALL)


def code_of(message: StoredMessage) -> str:
    """The code, of the closed list of contracts/errors.yaml."""
    code = message.headers.get(CODE, "")
    return code if code in load().errors else UNKNOWN


def form_of(message: StoredMessage) -> DeadLetterForm:
    """Whether it is one message with its payload, or a range of them."""
    return "range" if message.headers.get(FORM) == "range" else "full"


@lru_cache(maxsize=16_384)
def names_of(subject: str) -> tuple[str, str, str]:
    """(worker, publisher, type) as the subject of a dead letter says them, which the server lets nobody forge."""
    worker, original = subjects.parse_dead_letter(subject)
    parts = original.split(".", 4)
    if parts[0] == "evt" and len(parts) == 5:
        return worker, parts[3], parts[4]
    if parts[0] == "score":
        return worker, parts[0], original.split(".", 3)[-1]
    return worker, subjects.publisher_of(original), original


def redrives_of(message: StoredMessage) -> int:
    """How often its message was redriven before; what is not a number counts as never."""
    return min(number(message, REDRIVES), MOST_REDRIVES)


def number(message: StoredMessage, header: str) -> int:
    """A header's number; 0 where there is none."""
    return dead_letter.number(message.headers, header) or 0


def range_of(message: StoredMessage) -> dict[str, Any]:
    """What a range says in its payload; empty where that cannot be read."""
    try:
        body = orjson.loads(message.data)
    except orjson.JSONDecodeError:
        return {}
    whole = isinstance(body, dict) and all(type(body.get(name)) is int for name in ("from", "to", "count"))
    return body if whole else {}


def messages_of(message: StoredMessage) -> int:
    """How many messages it stands for."""
    if form_of(message) == "full":
        return 1
    return number(message, COUNT) or int(range_of(message).get("count", 1))


def pointer_of(reason: str) -> str:
    """Where in the payload the reason points; empty when it does not."""
    found = _POINTER.search(reason)
    return found[1] if found else ""


def head_of(message: StoredMessage, state: DeadLetterState) -> DeadLetterHead:
    """All of a dead letter but its payload and its other headers."""
    worker, publisher, type = names_of(message.subject)
    first = last = number(message, SEQUENCE)
    form = form_of(message)
    if form == "range":
        body = range_of(message)
        first, last = int(body.get("from", 0)), int(body.get("to", 0))
    return DeadLetterHead(
        sequence=message.sequence,
        stored_at=timestamps.text(message.stored_at_ns),
        state=state,
        worker=worker,
        code=code_of(message),
        reason=message.headers.get(REASON, ""),
        form=form,
        type=type,
        publisher=publisher,
        subject=subjects.parse_dead_letter(message.subject)[1],
        origin_stream=message.headers.get(STREAM, ""),
        origin_sequence=first,
        origin_last=last,
        messages=messages_of(message),
        key=message.headers.get(KEY, ""),
        redrives=redrives_of(message),
        run=message.headers.get(RUN, ""),
        previous=number(message, PREVIOUS) or None,
    )
