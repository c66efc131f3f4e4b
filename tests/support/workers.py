"""Whole workers of the fleet inside the test's own loop, on a rig's server."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.errors import Unavailable
from penstock.rpc.caller import Person
from penstock.rpc.client import ask
from penstock.rpc.messages import RegisteredModel
from penstock.runtime import Build, Worker
from penstock.services.trainer.upload import upload
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.until import BOUND, until


class RunningWorker:
    """`async with RunningWorker(...) as worker:` it works meanwhile, and ends as on SIGTERM."""

    def __init__(
        self, rig: Rig, name: str, build: Build[Place], *, ready: bool = True, settings: Place | None = None
    ) -> None:
        """`settings`: instead of those of the rig's own place, where a store of another place is used."""
        self.worker = Worker(name, build, settings or rig.place)
        self._ready = ready

    async def __aenter__(self) -> Worker[Place]:
        self._task = asyncio.create_task(self.worker.run())
        if self._ready:
            await until(lambda: self._task.done() or not self.worker.unready_reasons())
            assert not self._task.done()
        else:
            await until(lambda: self.worker.unready_reasons() not in (["starting"], ["no connection to the broker"]))
        return self.worker

    async def __aexit__(self, *_: object) -> None:
        self.worker.stop.set()
        async with asyncio.timeout(BOUND):
            assert await self._task == 0


async def register(rig: Rig, raw: bytes, *, activate: bool = True) -> RegisteredModel:
    """As the trainer does; again while no operator leads, as one in this event loop may be held up by TensorFlow."""
    broker = await rig.broker("trainer")

    async def look() -> RegisteredModel | None:
        try:
            return await upload(broker, "surprise", raw, activate=activate, reason="a test")
        except Unavailable:
            return None

    return await until(look)


async def ask_registry(rig: Rig, operation: str, request: dict[str, Any], who: str, *roles: str) -> dict[str, Any]:
    """As the ingress does for a person with these roles."""
    broker = await rig.broker("ingress")
    person = Person(who, frozenset(), frozenset(roles))
    return await ask(broker, "registry", operation, request, on_behalf=person, timeout=BOUND)
