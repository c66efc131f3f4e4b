"""Sends a CloudEvent over HTTP, and waits for the workers: `python examples/post.py`, with the stack up.

It needs no part of Penstock, only HTTP. PENSTOCK_URL is the address of the API; PENSTOCK_KEY holds a key, as printed by
`penstock key create --identity web_shop --types '*'`.
"""

from __future__ import annotations

import os
import sys
import uuid
from datetime import UTC, datetime

import httpx


def main() -> None:
    """One event in structured mode."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "urn:example:web-1",
        "type": "log.line.v1",
        "subject": "web-1",
        "time": datetime.now(UTC).isoformat(),
        "data": {"message": "order 4711 failed: card declined", "level": "warning"},
    }
    if not (key := os.environ.get("PENSTOCK_KEY")):
        sys.exit("PENSTOCK_KEY is not set: export PENSTOCK_KEY=$(penstock key create --identity web_shop --types '*')")
    response = httpx.post(
        os.environ.get("PENSTOCK_URL", "http://127.0.0.1:7410") + "/v1/events",
        json=event,
        headers={
            "authorization": f"Bearer {key}",
            "content-type": "application/cloudevents+json",
            "prefer": "wait=5",
        },
        timeout=10,
    )
    [result] = response.json()["results"]
    print(response.status_code, result["status"], result.get("key", result.get("detail")), result.get("stages", {}))


if __name__ == "__main__":
    main()
