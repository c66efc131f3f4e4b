"""Plans for the subscriber `alerting`, and the program of examples/receive_replay.py as a process to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from penstock import Publisher
from penstock.client import connect
from penstock.errors import PenstockError
from penstock.rpc.messages import ReplayPlan
from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig
from tests.support.replay_console import Console
from tests.support.until import BOUND


def as_(rig: Rig, identity: str) -> AbstractAsyncContextManager[Publisher]:
    """The library's client on the rig's server."""
    return connect(identity, url=rig.place.nats, credentials=rig.place.credentials_folder)


async def planned(rig: Rig, console: Console, count: int = 300, **members: Any) -> tuple[ReplayPlan, list[int]]:
    """A plan for new log lines of billing, among interactions that are no part of it; and the log lines' sequences."""
    async with as_(rig, "billing") as billing:
        events = [billing.event("log.line.v1", {"message": f"line {n}"}, entity=f"host-{n % 7}") for n in range(count)]
        other = [billing.event("user.interaction.v1", {"action": "view"}, entity="s1") for _ in range(20)]
        results = await billing.publish_many([*events[: count // 2], *other, *events[count // 2 :]])
    failed = [result for result in results if isinstance(result, PenstockError)]
    assert not failed, failed[0]
    sequences = [result.sequence for result in results if not isinstance(result, PenstockError)]
    lines = [*sequences[: count // 2], *sequences[count // 2 + len(other) :]]
    bounds = [{"stream": "EVENTS_NATS", "first": min(sequences), "last": max(sequences)}]
    body = {"effect": "deliver", "match": {"types": ["log.line.v1"]}, "sequences": bounds, **members}
    return await console.plan("alerting", **body), sorted(lines)


class Program:
    """`async with Program(rig) as program:` it runs; `seen` are the sequences that it printed."""

    def __init__(self, rig: Rig) -> None:
        self.seen: list[int] = []
        self._rig = rig

    async def __aenter__(self) -> Program:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Starts it, and waits until it fetches."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(CHECKOUT / "examples/receive_replay.py"),
            env={**os.environ, **self._rig.place.environment()}, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(BOUND):
            assert (await self._process.stdout.readline()).strip() == b"ready"
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def kill(self) -> None:
        """SIGKILL; returns when what it printed is read."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        async with asyncio.timeout(BOUND):
            await self._reading

    async def _read(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            if line.startswith(b"r-"):
                self.seen.append(int(line.split()[2]))
