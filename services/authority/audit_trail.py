"""decision → AUDIT, before it is answered. Admissions one by one; refusals too, as long as nobody floods the trail.

Anyone who reaches the server can cause refusals, and the trail is finite. So above MOST_REFUSALS a minute they are
counted, by code, and the counts are written as one record when the minute is over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from penstock.audit import record
from penstock.auth.token_verifier import Claims
from penstock.errors import PenstockError
from penstock.per_minute import MINUTE, PerMinute
from penstock.services.authority.authorization_request import Request
from penstock.services.authority.decide import Admission

_log = structlog.get_logger("penstock.authority")

MOST_REFUSALS = 300


class AuditTrail:
    """Writes decisions. `clock` gives seconds that never go back."""

    def __init__(self, broker: record.Writer, clock: Callable[[], float]) -> None:
        self._broker = broker
        self._refusals = PerMinute(MOST_REFUSALS, clock)

    async def admitted(self, request: Request, claims: Claims, admission: Admission) -> None:
        """Raises Unavailable when the record could not be stored: then nobody is let in."""
        record = {
            "decision": "admitted",
            **_connection(request),
            **_token(claims),
            "identity": admission.who.identity,
            "listed": admission.who.listed,
            "roles": admission.who.roles,
            "expires": _iso(admission.expires_at),
        }
        _log.info("admitted", identity=admission.who.identity, host=request.host, expires=record["expires"])
        await self._write("connect", record, actor=admission.who.identity)

    async def refused(self, request: Request, claims: Claims | None, error: PenstockError) -> None:
        """Raises Unavailable when the record could not be stored."""
        await self.settle()
        if not self._refusals.passes(error.code):
            return
        record = {
            "decision": "refused",
            **_connection(request),
            **(_token(claims) if claims else {}),
            "code": error.code,
            "reason": error.detail,
        }
        _log.warning("refused", code=error.code, reason=error.detail, host=request.host, client=request.client)
        await self._write("connect", record)

    async def disconnected(self, identity: str, server: str, number: int, name: str) -> None:
        """A connection of a denied identity was closed. Raises Unavailable when the record could not be stored."""
        _log.warning("disconnected", identity=identity, server=server, connection=number)
        record = {
            "decision": "disconnected",
            "identity": identity,
            "server": server,
            "connection": number,
            "client": name,
        }
        await self._write("disconnect", record, actor=self._broker.identity)

    async def settle(self) -> None:
        """Begins a new minute where the last is over, and writes what was only counted in it."""
        if counted := self._refusals.turn():
            _log.warning("refusals_counted", counts=dict(counted))
            await self._write("connect", {"decision": "refused", "counts": dict(counted), "seconds": int(MINUTE)})

    async def _write(self, what: str, members: dict[str, Any], actor: str = "") -> None:
        await record.write(self._broker, what, actor, **members)


def _connection(request: Request) -> dict[str, Any]:
    return {"host": request.host, "client": request.client, "server": request.server_name or request.server}


def _token(claims: Claims) -> dict[str, Any]:
    return {
        "issuer": claims.issuer,
        "subject": claims.subject,
        "client_id": claims.client,
        "token_id": claims.token_id,
    }


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
