"""What may happen to a store, for a moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from penstock.stack import process
from tests.support.places import Running


@asynccontextmanager
async def frozen(running: Running, name: str) -> AsyncIterator[None]:
    """The server answers nothing, as in a long pause of its machine."""
    record = process.alive(running.place, name)
    assert record
    os.kill(record.pid, signal.SIGSTOP)
    try:
        await until(lambda: _all_stopped(record.pid))  # a thread that runs stops a little after the signal
        yield
    finally:
        os.kill(record.pid, signal.SIGCONT)


def _all_stopped(pid: int) -> bool:
    try:
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread ended between the listing and the reading
        return False
    return set(states) == {"T"}


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Returns once the condition holds; a bound, not a wait."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)
