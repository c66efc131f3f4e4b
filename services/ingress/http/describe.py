"""The API's documentation: /v1/types from the contracts, and for /docs what FastAPI cannot know of POST /v1/events."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from penstock.contracts import Contracts, problem
from penstock.errors import Refused
from penstock.events import MAX_EVENT_BYTES
from penstock.services.ingress.http.body import MAX_BODY

Json = dict[str, Any]

TITLE = "Penstock"
SUMMARY = "Send events; search, follow and score them."
SECURITY: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key from `penstock key create`, or an access token of a trusted issuer.",
    }
}

EVENT: Json = {
    "specversion": "1.0",
    "id": "7f9c0d2e-17",
    "source": "urn:example:web-1:/var/log/auth.log",
    "type": "log.line.v1",
    "time": "2026-11-21T12:00:00.25Z",
    "subject": "web-1",
    "data": {"message": "Failed password for root from 203.0.113.7", "level": "warning", "process": "sshd"},
}
RECORD: Json = {
    "key": "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355",
    "time": "2026-11-21T12:00:00.250Z",
    "publisher": "web_shop",
    "door": "http",
    "stream": "EVENTS_HTTP",
    "sequence": 17,
    "stored_at": "2026-11-21T12:00:00.312417Z",
    "entity": "web-1",
    "event": EVENT,
}
ACCEPTED: Json = {
    "accepted": 1,
    "duplicate": 0,
    "refused": 0,
    "unavailable": 0,
    "results": [
        {"index": 0, "status": "accepted", "key": RECORD["key"], "stream": "EVENTS_HTTP", "sequence": 17},
    ],
}
VIOLATION = Refused("SCHEMA_VIOLATION", "`data.message` is missing", pointer="/data")


@lru_cache(maxsize=64)
def envelope(root: Path) -> Json:
    """The attributes of an event, as a JSON Schema."""
    with (root / "envelope.yaml").open(encoding="utf-8") as file:
        found: Json = yaml.safe_load(file)
        return found


def types_page(contracts: Contracts, sent: Collection[str], datasets: Collection[str]) -> Json:
    """The response of GET /v1/types for a caller that may send the types `sent` and read the datasets: only these."""
    shown = [each for each in contracts.types.values() if each.type in sent or each.dataset in datasets]
    types = [
        {
            "type": each.type,
            "meaning": each.meaning,
            "owner": each.owner,
            "status": each.status,
            "dataset": each.dataset,
            "entity": {"meaning": each.entity.meaning, "required": each.entity.required},
            "time": {"past_seconds": each.past_ns // 10**9, "future_seconds": each.future_ns // 10**9},
            "indexed": {path: {"as": field.kind, "search": field.search} for path, field in each.indexed.items()},
            "data": each.data,
        }
        for each in shown
    ]
    named = {each.dataset for each in shown}
    about = {name: {"meaning": each.meaning, "owner": each.owner} for name, each in contracts.datasets.items()}
    return {
        "types": types,
        "datasets": {name: words for name, words in about.items() if name in named},
        "envelope": envelope(contracts.root),
        "max_event_bytes": MAX_EVENT_BYTES,
    }


def events_path() -> Json:
    """The OpenAPI description of POST /v1/events."""
    example = problem(VIOLATION) | {"request_id": "d1b5a0c2f4e6978a"}
    refused = {"application/problem+json": {"example": example}}
    accepted = {"application/json": {"example": ACCEPTED}}
    return {
        "post": {
            "tags": ["send"],
            "summary": "Send events",
            "description": (
                "CloudEvents 1.0 in structured, batched or binary mode; up to 5000 events and "
                f"{MAX_BODY >> 20} MiB a request. 202 means that every event is on disk, unless `durable` and the "
                "header `Penstock-Durable` say otherwise. Sending the same event again (same source, id "
                "and time) is always safe. An event without a time is given the present one (`stamped` in its "
                "result); sent again, it is the same event only if the same bytes reach the same ingress within an "
                "hour and it has not restarted, so senders that try again set `time`."
            ),
            "parameters": [
                _header(
                    "Prefer",
                    "`wait=N`: wait up to N (at most 30) seconds for the workers; `stages` lists those that are done. "
                    "While no model is active, scores are not waited for, and `unscored` says so.",
                ),
                _header("traceparent", "W3C trace context, stored with the events."),
                _header("X-Request-Id", "Returned in the response and written to the log."),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/cloudevents+json": {"example": EVENT},
                    "application/cloudevents-batch+json": {"example": [EVENT]},
                    "application/json": {"example": EVENT["data"]},
                },
            },
            "responses": {
                "202": {"description": "All events are accepted, or were before.", "content": accepted},
                "200": {
                    "description": "All events are accepted and every worker is done (`Prefer`).",
                    "content": accepted,
                },
                "207": {"description": "Some events are refused; `results` says which and why.", "content": accepted},
                "400": {
                    "description": "All events are refused, or the request itself is not valid.",
                    "content": refused,
                },
                "401": {"description": "Valid credentials are missing.", "content": refused},
                "403": {"description": "The caller may not send these events.", "content": refused},
                "413": {"description": "The request or an event is too large.", "content": refused},
                "415": {"description": "The content type is not one of the three modes.", "content": refused},
                "503": {
                    "description": "Some events cannot be stored now; send them again after Retry-After.",
                    "content": refused,
                },
            },
        }
    }


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}
