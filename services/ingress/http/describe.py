"""The interface in words: /v1/types from the contracts, and what FastAPI cannot know of POST /v1/events for /docs."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from penstock.contracts import Contracts
from penstock.events import MAX_EVENT_BYTES
from penstock.services.ingress.http.body import MAX_BODY

Json = dict[str, Any]

TITLE = "Penstock"
SUMMARY = "Events in; found, followed and scored events out."
SECURITY: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key from `penstock key create`, or an access token of an issuer that is believed.",
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
PROBLEM: Json = {
    "type": "urn:penstock:error:SCHEMA_VIOLATION",
    "title": "The data does not fit its type",
    "status": 400,
    "code": "SCHEMA_VIOLATION",
    "detail": '"message" is a required property',
    "pointer": "/data",
    "next_step": "Mend the member that `pointer` names; /v1/types shows the schema.",
    "request_id": "d1b5a0c2f4e6978a",
}


@lru_cache(maxsize=64)
def envelope(root: Path) -> Json:
    """The attributes of an event, as a JSON Schema."""
    with (root / "envelope.yaml").open(encoding="utf-8") as file:
        found: Json = yaml.safe_load(file)
        return found


def types_page(contracts: Contracts, sent: Collection[str], datasets: Collection[str]) -> Json:
    """The answer of GET /v1/types to who may send the types `sent` and read the datasets; nobody learns of others."""
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
    problem = {"application/problem+json": {"example": PROBLEM}}
    accepted = {"application/json": {"example": ACCEPTED}}
    return {
        "post": {
            "tags": ["send"],
            "summary": "Send events",
            "description": (
                "CloudEvents 1.0 in structured, batched or binary mode; up to 5000 events and "
                f"{MAX_BODY >> 20} MiB a request. 202 means that every event is on disk: see `durable` and the header "
                "`Penstock-Durable` for servers where that is not so. Sending the same event again (same source, id "
                "and time) is always safe."
            ),
            "parameters": [
                _header("Prefer", "`wait=N`: wait up to N (30) seconds for the workers; `stages` says who answered."),
                _header("traceparent", "W3C trace context; goes along with the events."),
                _header("X-Request-Id", "Returned with the answer and written to the log."),
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
                "202": {"description": "All are accepted, or were before.", "content": accepted},
                "200": {
                    "description": "All are accepted and every worker has answered (`Prefer`).",
                    "content": accepted,
                },
                "207": {"description": "Some are refused; `results` says which and why.", "content": accepted},
                "400": {"description": "All are refused, or the request is.", "content": problem},
                "401": {"description": "No valid key.", "content": problem},
                "403": {"description": "The key may not send this.", "content": problem},
                "413": {"description": "Too large.", "content": problem},
                "415": {"description": "None of the three modes.", "content": problem},
                "503": {"description": "Some cannot be stored now; send again after Retry-After.", "content": problem},
            },
        }
    }


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}
