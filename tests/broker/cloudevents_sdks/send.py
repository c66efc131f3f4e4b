"""What send.mjs does, with the SDK for Python: reads the same plan, writes the same lines."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import httpx
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v03.event import CloudEvent as CloudEventV03
from cloudevents.core.v1.event import CloudEvent


def build(event: dict[str, Any]) -> CloudEvent | CloudEventV03:
    """The event as an object of the SDK."""
    attributes = dict(event["attributes"])
    if "time" in attributes:
        attributes["time"] = datetime.fromisoformat(attributes["time"])
    [(kind, value)] = (event["data"] or {"json": None}).items()
    of = CloudEventV03 if attributes.get("specversion") == "0.3" else CloudEvent
    return of(attributes, b64decode(value) if kind == "base64" else value)


def message(mode: str, events: Sequence[dict[str, Any]]) -> HTTPMessage:
    """The request as the SDK writes it; it has no batches: one is an array of its events."""
    built = [build(event) for event in events]
    if mode == "batch":
        items = b",".join(JSONFormat().write(one) for one in built)
        return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, b"[" + items + b"]")
    return to_binary_event(built[0]) if mode == "binary" else to_structured_event(built[0])


def main() -> None:
    """One request after the other."""
    plan = json.load(sys.stdin)
    with httpx.Client(timeout=30) as client:
        for request in plan["requests"]:
            sent = message(request["mode"], request["events"])
            headers = {**sent.headers, "authorization": plan["authorization"]}
            print(json.dumps(client.post(plan["url"], content=sent.body, headers=headers).json()))


if __name__ == "__main__":
    main()
