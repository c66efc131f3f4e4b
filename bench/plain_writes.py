"""A plain client that writes to Elasticsearch what a replay would, and nothing else: what the store itself costs others
on the same two cores."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice

import httpx
import orjson

from bench.fleet import Fleet

MOST = 10_000  # documents that it takes turns with
JSON = {"content-type": "application/x-ndjson"}


class PlainWrites:
    """Documents that are there, with the versions that they have, as in a repair."""

    def __init__(self, base: Fleet) -> None:
        self._url = base.place.elasticsearch
        self._lines: list[bytes] = []

    async def open(self) -> PlainWrites:
        """Reads documents of all indices of events."""
        query = {"size": MOST, "version": True, "sort": ["_doc"]}
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as http:
            (await http.post("/events-*/_refresh")).raise_for_status()
            found = (await http.post("/events-*/_search", json=query)).raise_for_status().json()["hits"]["hits"]
        self._lines = [_line(hit) for hit in found]
        return self

    async def write(self, rate: float, portion: int, stop: asyncio.Event) -> int:
        """Writes `portion` documents at a time, `rate` a second, until `stop`; how many it wrote."""
        lines, written = cycle(self._lines), 0
        async with httpx.AsyncClient(base_url=self._url, timeout=60, headers=JSON) as http:
            due = time.monotonic()
            while not stop.is_set():
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
                due += portion / rate
                (await http.post("/_bulk", content=b"".join(islice(lines, portion)))).raise_for_status()
                written += portion
        return written


def _line(hit: dict[str, object]) -> bytes:
    action = {
        "_index": hit["_index"],
        "_id": hit["_id"],
        "version": hit["_version"],
        "version_type": "external",
    }
    return orjson.dumps({"index": action}) + b"\n" + orjson.dumps(hit["_source"]) + b"\n"
