"""How many requests may be in flight: one more after a clean round, half as many after the store pushed back."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Limit:
    """A gate whose width follows the store (additive increase, multiplicative decrease)."""

    def __init__(self, *, start: int = 2, most: int = 8, slow: float = 5.0) -> None:
        self.width = start
        self.push_backs = 0
        self._most = most
        self._slow = slow
        self._busy = 0
        self._clean = 0
        self._narrowed_at = float("-inf")
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._busy < self.width)
            self._busy += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy -= 1
        async with self._changed:
            self._changed.notify_all()

    def answered(self, seconds: float) -> None:
        """The store took a request; slower than `slow` seconds counts as a push back. Call inside the gate."""
        if seconds > self._slow:
            self.pushed_back()
        elif self._busy >= self.width:  # a wider gate is of use only if this one is full
            self._clean += 1
            if self._clean >= self.width and self.width < self._most:
                self.width += 1
                self._clean = 0

    def pushed_back(self) -> None:
        """The store refused for load, or did not answer. All requests of one moment count once."""
        now = asyncio.get_running_loop().time()
        if now - self._narrowed_at >= 1.0:
            self._narrowed_at = now
            self.push_backs += 1
            self.width = max(1, self.width // 2)
        self._clean = 0
