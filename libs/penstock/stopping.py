"""Waiting on events, such as a process's stop: for a while, for the first of several, or while other work runs; and
ending tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

AGAIN_SECONDS = 0.1  # after which a task that goes on is cancelled again


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
        await end_tasks(running, stopped)


async def end_tasks(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancels tasks and returns when they have ended, whatever with.

    One cancellation may not do: `asyncio.wait_for` of Python 3.11 loses one that comes as it completes, and some
    libraries catch it and go on.
    """
    there = [task for task in tasks if task is not None]
    while running := [task for task in there if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=AGAIN_SECONDS)
    for task in there:
        if not task.cancelled():
            task.exception()  # seen, so that nothing reports it
