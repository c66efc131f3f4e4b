"""attempt → what passes by itself is tried again with growing pauses → one outcome for each item

For workers whose sink may be away, overloaded or not set up yet. Their items wait here, kept by the lane's in-progress
acks, instead of being passed back and forth between the worker and the broker.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count

from penstock.consume.outcome import Outcome, Retry
from penstock.stopping import set_within

PATIENCE = 240.0  # seconds that an item waits here, before it is handed back
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0  # seconds between tries
_HANDED_BACK = 1.0  # seconds before what was handed back comes again
LONG_WAIT = 5.0  # seconds that items wait here, after which the process is not ready


@dataclass(frozen=True, slots=True)
class Again:
    """Not now; the same item may succeed in a moment."""

    why: str


# Tries the items at these positions; one verdict for each, in their order. Never raises for what the sink says.
Attempt = Callable[[Sequence[int]], Awaitable["Sequence[Outcome | Again]"]]


class SinkRetry:
    """The retries of one sink. `patience`: seconds that an item is tried for, before it is handed back."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._stopped = asyncio.Event()
        self._waiting: dict[int, tuple[float, str]] = {}  # for each `settle` with items that wait: since when, and why
        self._numbers = count()

    def unready_reason(self) -> str:
        """Why items have waited here for long, in a sentence; empty while none has."""
        since, why = min(self._waiting.values(), default=(0.0, ""))
        return f"messages wait for the sink: {why}" if why and time.monotonic() - since > LONG_WAIT else ""

    def stop(self) -> None:
        """What waits is handed back at once; what fails from now on is not tried again."""
        self._stopped.set()

    async def settle(
        self,
        positions: Sequence[int],
        verdicts: Sequence[Outcome | Again],
        attempt: Attempt,
        outcomes: list[Outcome],
    ) -> None:
        """Puts the outcome of each position into `outcomes`. `verdicts` are those of a first attempt; what they say to
        try again goes to `attempt` until it succeeds, is refused, or patience ends."""
        number = next(self._numbers)
        try:
            await self._settle(number, positions, verdicts, attempt, outcomes)
        finally:
            self._waiting.pop(number, None)

    async def _settle(
        self,
        number: int,
        positions: Sequence[int],
        verdicts: Sequence[Outcome | Again],
        attempt: Attempt,
        outcomes: list[Outcome],
    ) -> None:
        loop = asyncio.get_running_loop()
        began, deadline, wait = time.monotonic(), loop.time() + self._patience, _FIRST_WAIT
        while True:
            again: list[tuple[int, str]] = []
            for position, verdict in zip(positions, verdicts, strict=True):
                if isinstance(verdict, Again):
                    again.append((position, verdict.why))
                else:
                    outcomes[position] = verdict
            if not again:
                return
            self._waiting[number] = (began, again[0][1])
            pause = wait * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
            if loop.time() + wait >= deadline or await set_within(self._stopped, pause):
                for position, why in again:
                    outcomes[position] = Retry(_HANDED_BACK, why)
                return
            wait = min(_LONGEST_WAIT, wait * 2)
            positions = [position for position, _ in again]
            verdicts = await attempt(positions)
