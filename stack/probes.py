"""Events sent one by one, each waiting for its workers: how long after the request each stage had it."""

from __future__ import annotations

import asyncio
import os
import time

import httpx
import orjson

from penstock.cli.trust import trusted
from penstock.events import timestamps

STAGES = ("stored", "indexed", "scored")
PATIENCE = 20  # seconds that a probe waits for its stages


async def time_stages(url: str, key: str, *, count: int, at_once: int, every: float = 0.0) -> dict[str, list[float]]:
    """Milliseconds from request to each stage's answer, sorted; a stage that did not answer in time counts as
    PATIENCE. `every` is the pause between probes in seconds. Raises httpx.HTTPError when the ingress does not
    answer."""
    found: dict[str, list[float]] = {stage: [] for stage in STAGES}
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/cloudevents+json",
        "prefer": f"wait={PATIENCE}",
    }
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE + 10, verify=trusted(url)) as http:
        room = asyncio.Semaphore(at_once)

        async def probe(event: bytes) -> None:
            async with room:
                answer = (await http.post("/v1/events", content=event)).raise_for_status().json()
            said = answer["results"][0].get("stages") or {}
            for stage in STAGES:
                found[stage].append(said[stage]["ms"] if stage in said else 1000.0 * PATIENCE)

        async with asyncio.TaskGroup() as tasks:
            run = os.urandom(4).hex()
            for number in range(count):
                tasks.create_task(probe(_event(run, number, count)))
                if every:
                    await asyncio.sleep(every)
    return {stage: sorted(times) for stage, times in found.items()}


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of the ordered values lie; 0 for none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _event(run: str, number: int, count: int) -> bytes:
    return orjson.dumps(
        {
            "specversion": "1.0",
            "type": "log.line.v1",
            "source": f"/penstock/probe/{run}",
            "id": str(number),
            "time": timestamps.text(time.time_ns()),
            "subject": f"probe-{number % 64}",
            "data": {"message": f"penstock probe {number} of {count}", "level": "info"},
        }
    )
