"""The ingress as a child process on a server of its own, and callers with keys."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import orjson

from penstock.auth import api_keys
from penstock.contracts import load
from penstock.events import timestamps
from penstock.stack import process, up
from penstock.stack.place import Place

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"


def event(id: str, **members: Any) -> dict[str, Any]:
    """A valid event of now; `members` replace or add attributes, None leaves one out."""
    value = {
        "specversion": "1.0",
        "id": id,
        "source": "urn:test",
        "type": "log.line.v1",
        "subject": "web-1",
        "time": timestamps.text(time.time_ns() // 1_000_000 * 1_000_000),
        "data": {"message": "hello"},
        **members,
    }
    return {name: member for name, member in value.items() if member is not None}


class Ingress:
    """The running ingress; `key` is that of `shop`, which may send and read everything."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.url = f"http://127.0.0.1:{place.local_port('ingress')}"
        self.key = self.make_key("shop", datasets=["*"], types=["*"], roles=["sender", "reader"])
        self.client = httpx.AsyncClient(base_url=self.url, timeout=30)

    def make_key(self, identity: str, **grants: Any) -> str:
        """A new key in the place's file."""
        text, _ = api_keys.create(self.place.keys, load(), identity=identity, now_ns=time.time_ns(), **grants)
        return text

    async def start(self) -> Ingress:
        """Starts the process and waits until it is ready."""
        await asyncio.to_thread(up.start_service, self.place, "ingress_0")
        return self

    async def stop_process(self) -> None:
        """SIGTERM, and waits for its end."""
        await asyncio.to_thread(process.stop, self.place, "ingress_0")

    async def stop(self) -> None:
        """Stops it for good."""
        await self.client.aclose()
        await self.stop_process()

    def headers(self, key: str | None = None, **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key or self.key}"} | {k.replace("_", "-"): v for k, v in more.items()}

    async def send(self, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """POST /v1/events: a list as a batch, else one event in structured mode; bytes as they are."""
        content_type = headers.pop("content_type", BATCHED if isinstance(body, list) else STRUCTURED)
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.client.post(
            "/v1/events", content=content, headers=self.headers(key, content_type=content_type, **headers)
        )

    async def get(self, path: str, *, key: str | None = None, **params: Any) -> httpx.Response:
        return await self.client.get(path, params=params, headers=self.headers(key))

    async def post(self, path: str, body: Any, *, key: str | None = None) -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.headers(key))

    async def readiness(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.client.get("/readyz")).json()
        return body

    def peak_memory(self) -> int:
        """Most bytes that the process has had resident."""
        record = process.alive(self.place, "ingress_0")
        assert record
        status = Path(f"/proc/{record.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def results(response: httpx.Response) -> list[tuple[str, str]]:
    """(status, code) of each event."""
    return [(each["status"], each.get("code", "")) for each in response.json()["results"]]
