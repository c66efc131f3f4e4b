"""A step of a service in the test's own loop, held up until the test has done something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest


class Held:
    """A step that waits: `begun` when it is reached, with the owner and the other arguments, until `released`."""

    def __init__(self) -> None:
        self.begun, self.released = asyncio.Event(), asyncio.Event()
        self.arguments: tuple[Any, ...] = ()

    async def wait(self, arguments: tuple[Any, ...]) -> None:
        self.arguments = arguments
        self.begun.set()
        await self.released.wait()


@asynccontextmanager
async def held(owner: type, name: str, *, after: bool) -> AsyncIterator[Held]:
    """Holds a method up before it is called, or after it."""
    step: Callable[..., Awaitable[Any]] = getattr(owner, name)
    hold = Held()

    async def slow(*arguments: Any) -> Any:
        if not after:
            await hold.wait(arguments)
        result = await step(*arguments)
        if after:
            await hold.wait(arguments)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, slow)
        try:
            yield hold
        finally:
            hold.released.set()
