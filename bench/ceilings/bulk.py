"""Pre-encoded lines → `_bulk` requests of 1 MB, four in flight: Elasticsearch's own limit with our records.

python -m bench.ceilings.bulk <events> <pid of Elasticsearch> <index>
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from bench.ceilings.records import stored_events
from bench.ceilings.timed import Count, timed
from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.events import record

LARGEST, IN_FLIGHT = 1 << 20, 4


def bodies(count: int) -> list[tuple[bytes, int]]:
    """Request bodies, each with its number of documents."""
    found: list[tuple[bytes, int]] = []
    part: list[bytes] = []
    size = 0
    for event in stored_events(count):
        action = f'{{"index":{{"_id":"{event.key}","version":{event.sequence},"version_type":"external"}}}}\n'
        line = action.encode() + record(event) + b"\n"
        if size + len(line) > LARGEST:
            found.append((b"".join(part), len(part)))
            part, size = [], 0
        part.append(line)
        size += len(line)
    return [*found, (b"".join(part), len(part))]


async def run(count: int, server: int, index: str) -> None:
    """Sends `count` documents."""
    waiting = bodies(count)
    url = f"{ElasticsearchSettings().elasticsearch}/{index}/_bulk?filter_path=errors"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as http:
        with timed(server) as done:
            await asyncio.gather(*(_send(http, url, waiting, done) for _ in range(IN_FLIGHT)))


async def _send(http: aiohttp.ClientSession, url: str, waiting: list[tuple[bytes, int]], done: Count) -> None:
    while waiting:
        body, count = waiting.pop()
        async with http.post(url, data=body, headers={"content-type": "application/x-ndjson"}) as answer:
            if (await answer.json())["errors"]:
                raise RuntimeError("Elasticsearch refused a document")
        done.events += count


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
