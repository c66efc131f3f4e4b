"""lines → the same lines, and those of a period that is being rebuilt once more, for the index beside the live one"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog
from pydantic import ValidationError

from penstock.broker import Broker, Keys
from penstock.consume import Done, Drop, Outcome
from penstock.errors import PenstockError, Unavailable
from penstock.replay import rebuild
from penstock.replay.run import BUCKET, NOTIFICATION
from penstock.services.indexer.bulk import Bulker, Line, VerdictOf
from penstock.services.indexer.metrics import OLD_REFUSED
from penstock.services.indexer.verdicts import by_operator, of_item
from penstock.stopping import first_set

_log = structlog.get_logger("penstock.indexer")

LOOK_SECONDS = 1.0


class Rebuilds:
    """The aliases that are being rebuilt, never older than rebuild.LEASE when it is asked."""

    def __init__(self, broker: Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._keys = Keys(broker, BUCKET)
        self._clock = clock
        self._open: Mapping[str, rebuild.Rebuild] = {}
        self._looked_at = -rebuild.LEASE
        self._looking = asyncio.Lock()

    async def follow(self, stop: asyncio.Event) -> None:
        """Looks every second, and when something is said to have changed."""
        look = asyncio.Event()
        subscription = await self._broker.subscribe(f"ctl.{NOTIFICATION}", lambda _: look.set())
        while not stop.is_set():
            look.clear()
            with suppress(PenstockError):  # then it is looked for again before the next line
                await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await first_set(stop, look)
        await subscription.stop()

    async def current(self) -> Mapping[str, rebuild.Rebuild]:
        """The open rebuilds by the aliases of their lines. Raises Unavailable while they cannot be known."""
        if self._clock() - self._looked_at >= rebuild.LEASE:
            async with self._looking:
                if self._clock() - self._looked_at >= rebuild.LEASE:
                    await self._look()
        return self._open

    async def _look(self) -> None:
        began = self._clock()
        try:
            self._open = rebuild.by_line(await rebuild.all_of(self._keys))
        except ValidationError as error:
            _log.error("rebuild_unreadable", reason=str(error)[:300])
            raise Unavailable("BROKER_UNAVAILABLE", "a rebuild is not readable", retry_after=5) from error
        self._looked_at = began


class MirroredBulker:
    """Sends lines to every index that must have them."""

    def __init__(self, bulker: Bulker, rebuilds: Rebuilds) -> None:
        self._bulker = bulker
        self._rebuilds = rebuilds

    async def send(self, lines: Sequence[Line], verdict_of: VerdictOf = of_item) -> list[Outcome]:
        """One outcome per line; it is done when it is in both. After the swap the index beside is the old one, and what
        it refuses is done all the same: its mapping may be why there is a new one. Raises Unavailable while the
        rebuilds are not known."""
        rebuilds = await self._rebuilds.current()
        twice = [place for place, line in enumerate(lines) if line.alias in rebuilds] if rebuilds else []
        if not twice:
            return await self._bulker.send(lines, verdict_of)
        copies = [_beside(lines[place], rebuilds, optional=True) for place in twice]
        outcomes = await self._bulker.send([*lines, *copies], verdict_of)
        for place, copied in zip(twice, outcomes[len(lines) :], strict=True):
            if isinstance(copied, Drop) and rebuilds[lines[place].alias].state != "filling":
                OLD_REFUSED.inc()
            elif isinstance(outcomes[place], Done) and not isinstance(copied, Done):
                outcomes[place] = copied
        return outcomes[: len(lines)]

    async def fill(self, lines: Sequence[Line], verdict_of: VerdictOf) -> list[Outcome]:
        """The lines of a rebuild: they go to the index beside the live one only."""
        rebuilds = await self._rebuilds.current()
        if any(line.alias not in rebuilds for line in lines):
            return [by_operator("what is to be rebuilt was dropped: cancel the run")] * len(lines)
        return await self._bulker.send([_beside(line, rebuilds, optional=False) for line in lines], verdict_of)


def _beside(line: Line, rebuilds: Mapping[str, rebuild.Rebuild], *, optional: bool) -> Line:
    """The line for the index beside the live one; an optional one is done when there is none any more."""
    alias = rebuild.beside(rebuilds[line.alias].alias)
    body = line.body.replace(b'"_index":"%b"' % line.alias.encode(), b'"_index":"%b"' % alias.encode(), 1)
    return Line(alias, body, fixed=True, optional=optional)
