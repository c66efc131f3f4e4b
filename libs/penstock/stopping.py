"""Waiting on events, such as a process's stop: for a while, for the first of several, or while other work runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Waits until the event is set, at most `seconds`; says whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def first_set(*events: asyncio.Event) -> None:
    """Returns as soon as one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def run_until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` until the event is set, then cancels it. Raises what it raises."""
    running, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, stopped):
            task.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
