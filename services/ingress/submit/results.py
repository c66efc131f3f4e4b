"""What became of each event → the answer: status, headers and JSON.

    202   every event is accepted, or was before (`duplicate`); 200 when the workers' answers were waited for and came
    207   some are refused
    4xx   all are refused: the code's own status, 400 when the codes differ
    503   some could not be stored now (429: because the sender's share is used up); sending all of them again is safe

All but 202 and 207 are problems (RFC 9457) with the results as a further member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from penstock.broker import Stored
from penstock.contracts import problem
from penstock.errors import PenstockError, Unavailable
from penstock.services.ingress.access.challenge import challenge
from penstock.services.ingress.http.problem import PROBLEM, Headers, retry_after

JSON = (b"content-type", b"application/json")
NO_MODEL = {
    "code": "MODEL_UNAVAILABLE",
    "detail": "no model is active, so scores were not waited for; events are scored once an administrator has run "
    "`penstock model train --activate`",
}


class Results:
    """One line per event of a request, by its index."""

    def __init__(self, count: int) -> None:
        self._lines: list[bytes] = [b""] * count
        self._errors: list[PenstockError] = []
        self._refused = 0
        self._duplicates = 0
        self._unavailable: Unavailable | None = None
        self._unavailable_count = 0
        self.scored_later = False  # since no model is active

    @property
    def errors(self) -> list[PenstockError]:
        """Why events are refused, in their order."""
        return self._errors

    def stored(self, index: int, key: str, stored: Stored, *, stamped: str = "", stages: Any = None) -> None:
        """The event is on its stream's disk."""
        self._line(index, b"accepted", key, stored, stamped, stages)

    def duplicate(self, index: int, key: str, stored: Stored) -> None:
        """The event is there already, where the first one was stored."""
        self._duplicates += 1
        self._line(index, b"duplicate", key, stored, "", None)

    def _line(self, index: int, status: bytes, key: str, stored: Stored, stamped: str, stages: Any) -> None:
        line = b'{"index":%d,"status":"%b","key":"%b","stream":"%b","sequence":%d' % (
            index,
            status,
            key.encode(),
            stored.stream.encode(),
            stored.sequence,
        )
        if stamped:
            line += b',"stamped":"%b"' % stamped.encode()
        if stages is not None:
            line += b',"stages":' + orjson.dumps(stages)
        self._lines[index] = line + b"}"

    def failed(self, index: int, error: PenstockError, key: str = "") -> None:
        """The event is refused, or cannot be stored now."""
        error.__traceback__ = error.__context__ = None  # they lead to the request, and would keep its bytes for long
        later = isinstance(error, Unavailable)
        if isinstance(error, Unavailable):
            self._unavailable_count += 1
            if self._unavailable is None or (error.retry_after or 0) > (self._unavailable.retry_after or 0):
                self._unavailable = error
        else:
            self._refused += 1
            self._errors.append(error)
        body = problem(error)
        line = {"index": index, "status": "unavailable" if later else "refused", "code": error.code}
        if key:
            line["key"] = key
        for name in ("detail", "pointer", "next_step"):
            if name in body:
                line[name] = body[name]
        self._lines[index] = orjson.dumps(line)

    def counts(self) -> dict[str, int]:
        """Events by what became of them."""
        refused, later = self._refused, self._unavailable_count
        accepted = len(self._lines) - self._duplicates - refused - later
        return {"accepted": accepted, "duplicate": self._duplicates, "refused": refused, "unavailable": later}

    def answer(self, counts: Mapping[str, int], *, durable: bool, complete: bool = False) -> tuple[int, Headers, bytes]:
        """Status, headers and body. `counts`: those of now; `complete`: every worker that was waited for has
        answered."""
        count = len(self._lines)
        headers = [JSON]
        members: dict[str, Any] = {}
        if self._unavailable is not None:
            members, headers = problem(self._unavailable), [PROBLEM, retry_after(self._unavailable)]
            status = members["status"]
        elif count and self._refused == count:
            members, headers = problem(self._errors[0]), [PROBLEM]
            status = members["status"] if len({problem(error)["status"] for error in self._errors}) == 1 else 400
            members["status"] = status
            headers += challenge(status, self._errors[0])
        elif self._refused:
            status = 207
        else:
            status = 200 if complete else 202
        if not durable:
            members["durable"] = False
        if self.scored_later:
            members["unscored"] = NO_MODEL
        members |= counts
        return status, headers, orjson.dumps(members)[:-1] + b',"results":[' + b",".join(self._lines) + b"]}"
