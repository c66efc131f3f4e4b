"""HTTP → FastAPI and pydantic → `await js.publish` → 202: the API as most would write it.

python api.py <set>
"""

from __future__ import annotations

import asyncio
import hmac
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import ValidationError
from settings import NATS, PASSWORD, USER, CloudEvent

KEY = f"Bearer {os.environ['PEER_KEY']}"
SET = sys.argv[1]


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """One connection for all requests."""
    client = await nats.connect(NATS, user=USER, password=PASSWORD)
    app.state.js = client.jetstream(timeout=30)
    yield
    await client.drain()


app = FastAPI(lifespan=connected)


@app.get("/livez")
async def live() -> Response:
    """200 once it runs."""
    return Response()


@app.post("/v1/events", status_code=202)
async def accept(request: Request) -> dict[str, int]:
    """Stores one event, or a batch of them side by side."""
    if not hmac.compare_digest(request.headers.get("authorization", ""), KEY):
        raise HTTPException(401)
    body = await request.body()
    try:
        found = [CloudEvent.model_validate_json(body)] if body[:1] == b"{" else None
        items = [body] if found else [orjson.dumps(item) for item in orjson.loads(body)]
        found = found or [CloudEvent.model_validate_json(item) for item in items]
    except ValidationError as error:
        raise HTTPException(400, error.errors(include_url=False, include_input=False)) from None
    publish = request.app.state.js.publish
    acks = await asyncio.gather(
        *(publish(f"peer.{SET}.{event.type}", item) for event, item in zip(found, items, strict=True))
    )
    return {"accepted": len(acks), "sequence": acks[-1].seq}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), loop="asyncio", http="httptools", access_log=False,
        log_level="warning", server_header=False, proxy_headers=False, timeout_keep_alive=75,
    )  # fmt: skip
