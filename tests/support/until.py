"""The one way in which tests wait for something that has no event to wait for."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
What = str | Callable[[], str]  # a function where it tells of the moment of the failure

BOUND = 30.0  # seconds after which a test gives up waiting; patience with a slow machine, no promise of ours
PAUSE = 0.02  # seconds between two looks


@overload
async def until(look: Callable[[], Awaitable[T | None]], bound: float = BOUND, what: What = "") -> T: ...
@overload
async def until(look: Callable[[], T | None], bound: float = BOUND, what: What = "") -> T: ...
async def until(
    look: Callable[[], Awaitable[T | None]] | Callable[[], T | None], bound: float = BOUND, what: What = ""
) -> T:
    """Looks again and again until what it finds is true, and returns that. `look` may be a coroutine function.

    Raises AssertionError after `bound` seconds, which names `what` was waited for.
    """
    deadline = time.monotonic() + bound
    while True:
        found = look()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {bound:.0f} s: {_text(look, what)}"
        await asyncio.sleep(PAUSE)


def _text(look: Callable[..., object], what: What) -> str:
    """What was waited for: as the test says it, or the source of the condition, as far as it is known."""
    if what:
        return what() if callable(what) else what
    try:
        return inspect.getsource(look).strip()
    except OSError:
        return repr(look)
