"""What may happen to a store, for a moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stack import process
from tests.places import Running


@asynccontextmanager
async def frozen(running: Running, name: str) -> AsyncIterator[None]:
    """The server answers nothing, as in a long pause of its machine."""
    record = process.alive(running.place, name)
    assert record
    os.kill(record.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(record.pid, signal.SIGCONT)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Returns once the condition holds; a bound, not a wait."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)
