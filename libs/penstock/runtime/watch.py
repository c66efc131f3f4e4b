"""Something outside, checked again every few seconds → reasons and notes of this process's health answer.

For what a process would otherwise believe for ever once it has seen it: templates, indices, tables, streams, files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from penstock.errors import PenstockError
from penstock.runtime import metrics
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.runtime.watch")

LONGEST_CHECK = 15.0  # seconds
MOST = 8  # sentences of one check
OVERDUE = 3  # checks in a row that failed, after which it is said


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found wrong, each a sentence with the command that corrects it. `reasons`: this process cannot do
    its work; `notes`: it does, but something that it relies on is missing or damaged."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Watch:
    """Runs `check` every `every` seconds. What it found stays until a later check finds otherwise; a check that fails
    (PenstockError, or no answer in time) finds nothing new, and is a note of its own when it keeps failing."""

    def __init__(self, name: str, check: Callable[[], Awaitable[Findings]], every: float) -> None:
        self.name = name
        self._check = check
        self._every = every
        self._found = Findings()
        self._failures = 0
        self._failure = ""

    @property
    def reasons(self) -> list[str]:
        """Why this process is not ready."""
        return _few(self._found.reasons)

    @property
    def notes(self) -> list[str]:
        """What an operator should know of a process that is ready."""
        overdue = [f"{self.name}: cannot be checked: {self._failure}"] if self._failures >= OVERDUE else []
        return [*_few(self._found.notes), *overdue]

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            await self.check()
            await set_within(stop, self._every)

    async def check(self) -> None:
        """Checks once."""
        try:
            async with asyncio.timeout(LONGEST_CHECK):
                found = await self._check()
        except (PenstockError, TimeoutError) as error:
            self._failures += 1
            self._failure = error.detail if isinstance(error, PenstockError) else f"no answer in {LONGEST_CHECK:.0f} s"
            metrics.CHECKS_FAILED.labels(self.name).inc()
            _log.warning("check_failed", check=self.name, reason=self._failure)
            return
        self._failures = 0
        if found != self._found:
            if said := [*found.reasons, *found.notes]:
                _log.error("check_found", check=self.name, found=said[:MOST], number=len(said))
            else:
                _log.info("check_cleared", check=self.name)
        self._found = found
        metrics.FINDINGS.labels(self.name).set(len(found.reasons) + len(found.notes))


def _few(sentences: tuple[str, ...]) -> list[str]:
    more = len(sentences) - MOST
    return [*sentences[:MOST], *([f"and {more} more"] if more > 0 else [])]
