"""What an error of Cassandra means for rows: again (it passes by itself), hand back (an operator must act), or drop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from cassandra import InvalidRequest, Unauthorized
from cassandra.cluster import NoHostAvailable
from cassandra.protocol import ConfigurationException, SyntaxException

from penstock.consume import Again, Drop, Outcome, Retry

_OPERATOR_SECONDS = 15.0
_REASON_KEPT = 800  # characters
# InvalidRequest is also what a missing table, column or keyspace is answered with.
_SCHEMA = ("unconfigured table", "Keyspace", "keyspace", "Undefined column", "Unknown identifier", "doesn't exist")


Verdict = Outcome | Again | Literal["split"]


def of_error(error: BaseException, rows: int) -> Verdict:
    """The verdict on a batch of `rows` messages that failed; "split" where one of them may be at fault."""
    text = f"{type(error).__name__}: {_text(error)}"[:_REASON_KEPT]
    if isinstance(error, Unauthorized | ConfigurationException | SyntaxException):
        return Retry(_OPERATOR_SECONDS, text)
    if isinstance(error, InvalidRequest):
        if any(sign in text for sign in _SCHEMA):
            return Retry(_OPERATOR_SECONDS, text)
        return "split" if rows > 1 else Drop("SINK_REFUSED", text)
    # Time-outs, missing replicas, overload, lost connections: the rows are idempotent, so all of these are tried again.
    return Again(text)


def unopened(error: Exception) -> str:
    """Why the tables cannot be used, and what helps where one of them is missing."""
    text = f"{type(error).__name__}: {error}"[:300]
    return f"{text}: `penstock provision` makes it anew, empty" if any(sign in text for sign in _SCHEMA) else text


def unreachable(error: NoHostAvailable) -> str:
    """Why each host could not be reached. The driver tells only their names when it lost a host again before all of its
    connections were made."""
    tried = error.errors
    if isinstance(tried, Mapping):
        return "; ".join(f"{host}: {reason}" for host, reason in tried.items()) or "no host is up"
    return f"no connection to {', '.join(map(str, tried))}"


def _text(error: BaseException) -> str:
    return unreachable(error) if isinstance(error, NoHostAvailable) else str(error)
