"""What an answer of Elasticsearch means for a line: done, drop, try again here, make the index first, or hand back.

2xx, 409 (that version or a newer one is there)       done; a replay asks which of the two
429, 5xx, no answer                                   again: it passes by itself
404 no such alias                                     create the index, then again
403, 401, closed or read-only index, no write index   retry: an operator must act; the messages wait on the stream
400 of the document (mapping, parsing)                drop, with Elasticsearch's type and reason
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elasticsearch import ApiError, ConnectionTimeout, TransportError

from penstock.consume import Again, Done, Drop, Outcome, Retry

_DONE = Done()
_SUPERSEDED = Done(unwritten="superseded")
_VERSIONS = re.compile(r"current version \[(\d+)\] is higher or equal to the one provided \[(\d+)\]")
_OPERATOR_SECONDS = 15.0
_REASON_KEPT = 800  # characters


@dataclass(frozen=True, slots=True)
class Create:
    """The alias does not exist yet."""


Verdict = Outcome | Again | Create
_CREATE = Create()


def of_item(item: Mapping[str, Any]) -> Verdict:
    """The verdict on one line of a request that was answered."""
    status = item["status"]
    if status < 300 or status == 409:
        return _DONE
    error = item.get("error") or {}
    kind, reason = error.get("type", "unknown"), error.get("reason", "")
    text = f"{kind}: {reason}"[:_REASON_KEPT]
    if (status == 429 and kind != "cluster_block_exception") or status >= 500:
        return Again(text)
    if status == 404 and kind == "index_not_found_exception":
        return _CREATE
    if status != 400 or _index_state(kind, reason):
        return by_operator(text)
    return Drop("SINK_REFUSED", text)


def of_replayed_item(item: Mapping[str, Any]) -> Verdict:
    """As `of_item`, and whether the index holds a newer version; Elasticsearch says so in the reason only."""
    if item["status"] != 409:
        return of_item(item)
    reason = (item.get("error") or {}).get("reason", "")
    if (versions := _VERSIONS.search(reason)) is None:
        return by_operator(f"a conflict that does not name its versions: {reason}"[:_REASON_KEPT])
    return _SUPERSEDED if int(versions[1]) > int(versions[2]) else _DONE


def _index_state(kind: str, reason: str) -> bool:
    """Whether the state of the index, not the document, is what Elasticsearch answers 400 to."""
    if kind in ("index_closed_exception", "cluster_block_exception", "validation_exception"):
        return True
    return kind == "illegal_argument_exception" and ("write index" in reason or "more than one ind" in reason)


def by_operator(why: str) -> Retry:
    """Hand back until somebody has repaired the cluster."""
    return Retry(_OPERATOR_SECONDS, why)


def of_request(error: ApiError | TransportError) -> Verdict | None:
    """The verdict on all lines of a request that failed as a whole; None when it was too large."""
    if isinstance(error, ApiError):
        status = error.meta.status
        if status == 413:
            return None
        text = f"{status} {error.message}"[:_REASON_KEPT]
        # A request that Elasticsearch does not understand says nothing about its lines, so none is dropped for it.
        return Again(text) if status == 429 or status >= 500 else by_operator(text)
    if isinstance(error, ConnectionTimeout):
        return Again("no answer in time")
    return Again(f"{type(error).__name__}: {error.message}"[:_REASON_KEPT])
