"""One POST /v1/events on its way: its items, what is published of them, and their results."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from penstock.broker import Broker
from penstock.errors import Refused
from penstock.events import Event, timestamps
from penstock.publish import REPLY_TO, Outgoing, Receipt
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.edge_identity import received_ns
from penstock.services.ingress.formats.cloudevents.split import split
from penstock.services.ingress.submit.active_models import ActiveModels
from penstock.services.ingress.submit.event_context import given_context
from penstock.services.ingress.submit.preference import preferred_wait
from penstock.services.ingress.submit.results import Results

MAX_EVENTS = 5000


class Request:
    """One request on its way: what is left of it at each step. `whole` is the body of a batch; `guessed`, whether its
    items may have been cut in the wrong places."""

    def __init__(
        self,
        items: list[bytes],
        caller: HttpCaller,
        headers: dict[bytes, bytes],
        whole: bytes | None = None,
        *,
        guessed: bool = False,
    ) -> None:
        self.whole = whole
        self.guessed = guessed
        self.caller = caller
        self.came_ns = received_ns(headers, time.time_ns())
        self._begin(items)
        self.stored: list[tuple[int, str, str, Any]] = []
        self.seconds = preferred_wait(headers.get(b"prefer"))
        self.ticket: Receipt | None = None
        self._headers = given_context(headers)

    def _begin(self, items: list[bytes]) -> None:
        self.items = items
        self.results = Results(len(items))
        self.outgoing: list[Outgoing] = []
        self.pending: list[tuple[int, str, str]] = []  # index, key and time of stamping of each outgoing event
        self._seen: set[tuple[str, str]] = set()

    def cut_again(self) -> None:
        """From the beginning, by the cut that is sure. Raises Refused when the body is no batch."""
        self.guessed = False
        self._begin(split(self.whole or b"", MAX_EVENTS))

    def must_be_new(self, value: dict[str, Any]) -> None:
        """Raises Refused DUPLICATE_IN_BATCH for a source and id that came before in this batch."""
        if len(self.items) > 1:
            identity = (value["source"], value["id"])
            if identity in self._seen:
                raise Refused("DUPLICATE_IN_BATCH", "an event before it has the same source and id", pointer="/id")
            self._seen.add(identity)

    def add(self, index: int, event: Event, *, stamped: bool) -> None:
        """An event to publish."""
        headers = self._headers
        if self.ticket is not None:
            headers = {**(headers or {}), REPLY_TO: self.ticket.address(index)}
        self.outgoing.append(Outgoing(event.subject, event.raw, headers))
        self.pending.append((index, event.key, timestamps.text(event.time_ns) if stamped else ""))

    def forget_input(self) -> None:
        """All is checked: from here on the events to publish count, and each byte is held once, not three times."""
        self.items, self.whole = [], None

    def forget_events(self) -> None:
        """From here on only the results count."""
        self.outgoing = []

    async def wait(self, models: ActiveModels, broker: Broker | None) -> bool:
        """Enters the stored events, with the stages that they have passed when these were asked for."""
        complete = False
        ticket = self.ticket
        try:
            if ticket is not None and self.stored:
                without = None
                if broker is not None and not models.found:
                    without = asyncio.create_task(self._leave_out_scores(ticket, models, broker), name="without-model")
                try:
                    complete = await ticket.wait({index for index, *_ in self.stored}, self.seconds)
                finally:
                    if without is not None:
                        without.cancel()
            for index, key, stamped, stored in self.stored:
                stages = None if ticket is None else ticket.answers.get(index, {})
                self.results.stored(index, key, stored, stamped=stamped, stages=stages)
        finally:
            self.close()
        return complete

    async def _leave_out_scores(self, ticket: Receipt, models: ActiveModels, broker: Broker) -> None:
        if await models.missing(broker):
            self.results.scored_later = True
            ticket.leave_out("scored")

    def close(self) -> None:
        """Nobody waits for the workers' answers any more."""
        if self.ticket is not None:
            self.ticket.close()
