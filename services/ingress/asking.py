"""question of a caller → svc.<service>.<operation>.ingress, on the caller's behalf → reply.

The door checks roles and datasets first, for a quick and clear answer; the worker that answers checks them again.
"""

from __future__ import annotations

from typing import Any

from penstock.contracts import Contracts
from penstock.questions import Question
from penstock.services import Person, ask
from services.ingress.auth import Caller
from services.ingress.link import Link


class Asking:
    """Asks the workers; knows how long each operation may take."""

    def __init__(self, contracts: Contracts, link: Link) -> None:
        self._contracts = contracts
        self._link = link

    async def ask(self, caller: Caller, service: str, operation: str, question: Question) -> dict[str, Any]:
        """The reply. Raises Refused FORBIDDEN and whatever the worker says; Unavailable when nobody answers in time."""
        caller.must_ask(service, operation)
        connected = await self._link.use()
        return await ask(
            connected.broker,
            service,
            operation,
            question.wire(),
            on_behalf=Person(caller.identity, caller.datasets, caller.roles),
            timeout=self._contracts.services[service].operations[operation].timeout.total_seconds(),
        )
