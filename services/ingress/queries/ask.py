"""request of a caller → svc.<service>.<operation>.ingress on the caller's behalf → audit trail → reply.

The ingress checks roles and datasets first, for a quick and clear answer; the worker that answers checks them again.
"""

from __future__ import annotations

import time
from typing import Any

from penstock.audit.record import asked
from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.errors import PenstockError
from penstock.rpc.caller import Person
from penstock.rpc.client import ask
from penstock.rpc.messages import Request
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.company import Company
from penstock.services.ingress.access.places import Places
from penstock.services.ingress.broker.link import Link
from penstock.services.ingress.queries import audit_record
from penstock.services.ingress.queries.gate import Gate


class WorkerClient:
    """Asks the workers; knows how long each operation may take."""

    def __init__(self, contracts: Contracts, link: Link, places: Places, gate: Gate, company: Company) -> None:
        self._contracts = contracts
        self._link = link
        self._places = places
        self._gate = gate
        self._company = company

    async def ask(self, caller: HttpCaller, service: str, operation: str, query: Request) -> dict[str, Any]:
        """The reply. Raises Refused FORBIDDEN and the worker's error; Unavailable when none answers in time."""
        caller.must_ask(service, operation)
        self._company.note(caller.identity)
        with self._places.one(caller.identity):  # beyond its share nothing is recorded: that would cost what it saves
            async with self._gate.one(caller.identity):
                return await self._recorded(caller, service, operation, query)

    async def _recorded(self, caller: HttpCaller, service: str, operation: str, query: Request) -> dict[str, Any]:
        connected = await self._link.use()
        request = query.to_json()
        began = time.perf_counter()
        reply: dict[str, Any] | PenstockError
        try:
            reply = await self._ask(connected.broker, caller, service, operation, request)
        except PenstockError as error:
            reply = error
        outcome = asked(request, reply, time.perf_counter() - began, self._contracts.types)
        await audit_record.write(connected.questions, caller, f"{service}.{operation}", outcome)
        if isinstance(reply, PenstockError):
            raise reply
        return reply

    async def _ask(
        self, broker: Broker, caller: HttpCaller, service: str, operation: str, request: dict[str, Any]
    ) -> dict[str, Any]:
        return await ask(
            broker,
            service,
            operation,
            request,
            on_behalf=Person(caller.identity, caller.datasets, caller.roles),
            timeout=self._contracts.services[service].operations[operation].timeout.total_seconds(),
        )
