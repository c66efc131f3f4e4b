"""tests.support.sample_worker as a process of its own: health and metrics, graceful stop, kill."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.support.broker_rig import Rig
from tests.support.until import BOUND, until


@dataclass
class Sample:
    """tests.support.sample_worker as a child process."""

    rig: Rig
    folder: Path
    process: asyncio.subprocess.Process
    log: Path
    instance: int = 0

    async def get(self, path: str) -> httpx.Response:
        port = self.rig.place.local_port("indexer", self.instance)
        async with httpx.AsyncClient(timeout=BOUND) as client:
            return await client.get(f"http://127.0.0.1:{port}{path}")

    async def ready(self, expected: bool = True) -> dict[str, Any]:
        async def look() -> dict[str, Any] | None:
            assert self.process.returncode is None, self.log.read_text()
            try:
                response = await self.get("/readyz")
            except httpx.TransportError:
                return None
            body: dict[str, Any] = response.json()
            assert (response.status_code == 200) == body["ready"]
            return body if body["ready"] is expected else None

        return await until(look)

    async def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Its exit code, and the seconds that it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(BOUND):
            return await self.process.wait(), time.monotonic() - started

    def handled(self) -> list[str]:
        path = self.folder / "handled"
        return path.read_text().splitlines() if path.exists() else []

    def logged(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines()]


async def start_sample(rig: Rig, folder: Path, *, instance: int = 0) -> Sample:
    """Starts one on the rig's server, as the given replica."""
    log = folder / "log"
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.sample_worker", str(folder)),
            env={
                **rig.place.environment(),
                "PENSTOCK_STATE": str(rig.place.state),
                "PENSTOCK_INSTANCE": str(instance),
            },
            stdout=file,
            stderr=file,
        )
    return Sample(rig, folder, process, log, instance)
