"""identities just denied → their live connections (CONNZ) → closed (KICK) → audited.

A connection may have been decided on a moment before the denial arrived here or at another replica. So the servers are
asked again a little later, and from time to time as long as anyone is denied.
"""

from __future__ import annotations

import asyncio

import structlog

from penstock.auth.denials import Denials
from penstock.broker import Broker
from penstock.broker.server_connections import disconnect, list_connections
from penstock.errors import PenstockError
from penstock.services.authority import metrics
from penstock.services.authority.audit_trail import AuditTrail

_log = structlog.get_logger("penstock.authority")

# Seconds after a denial; the last is beyond the poll of the slowest replica and the server's time-out of a request.
AGAIN_AFTER = (0.0, 1.5, 6.5)
EVERY = 30.0


class Disconnector:
    """Runs beside the callout."""

    def __init__(self, broker: Broker, denials: Denials, trail: AuditTrail) -> None:
        self._broker = broker
        self._denials = denials
        self._trail = trail
        self._denied = asyncio.Event()
        denials.on_change(self._noticed)

    def _noticed(self, identities: frozenset[str]) -> None:
        _log.info("identities_denied", identities=sorted(identities))
        self._denied.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        due = [loop.time()]
        while True:
            try:
                async with asyncio.timeout_at(due[0]):
                    await self._denied.wait()
                self._denied.clear()
                now = loop.time()
                due = sorted({*(now + after for after in AGAIN_AFTER), *due})
                continue
            except TimeoutError:
                due = due[1:] or [loop.time() + EVERY]
            try:
                await self.sweep()
            except PenstockError as error:
                _log.warning("not_swept", code=error.code, reason=error.detail)

    async def sweep(self) -> int:
        """Closes every connection of a denied identity; says how many."""
        denied = self._denials.denied
        if not denied:
            return 0
        closed = 0
        for session in await list_connections(self._broker):
            if session.identity in denied and await disconnect(self._broker, session):
                closed += 1
                metrics.DISCONNECTED.inc()
                await self._trail.disconnected(session.identity, session.server, session.number, session.name)
        return closed
