"""svc.dead_letters.*. Any replica answers; what changes or exports dead letters needs a reason and is audited first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_args

import structlog

from penstock.audit import record
from penstock.broker import Broker
from penstock.errors import Refused, Unavailable
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import (
    DeadLetterMatch,
    DeadLetterState,
    DeadLetterStatsQuery,
    ExportDeadLetters,
    ListDeadLetterGroups,
    ListDeadLetters,
    Mark,
    MarkDeadLetters,
    MarkedDeadLetters,
    ShowDeadLetter,
)
from penstock.services.operator.access import actor_of, require
from penstock.services.operator.dead_letters.index import Index
from penstock.services.operator.dead_letters.reading import Reading
from penstock.services.operator.dead_letters.select import bounded, select

_log = structlog.get_logger("penstock.operator.dead_letters")

Json = dict[str, Any]
SERVICE = "dead_letters"
FROM: dict[Mark, tuple[DeadLetterState, ...]] = {  # the states that a mark begins with when none are named
    "parked": ("open",),
    "dropped": ("open", "parked"),
    "open": ("parked", "dropped"),
}


class DeadLetterOperations:
    """The operations of svc.dead_letters."""

    def __init__(self, broker: Broker, index: Index) -> None:
        self._broker = broker
        self._index = index
        self._reading = Reading(broker, index)

    @property
    def all(self) -> dict[str, Callable[[Json, RequestCaller], Awaitable[Json]]]:
        """By name, as the contract has them."""
        return {
            "groups": self.groups,
            "list": self.list,
            "show": self.show,
            "stats": self.stats,
            "park": lambda request, caller: self._mark("park", "parked", request, caller),
            "drop": lambda request, caller: self._mark("drop", "dropped", request, caller),
            "reopen": lambda request, caller: self._mark("reopen", "open", request, caller),
            "export": self.export,
        }

    async def groups(self, request: Json, caller: RequestCaller) -> Json:
        """ListDeadLetterGroups → DeadLetterGroups."""
        require(caller, SERVICE, "groups")
        wanted = ListDeadLetterGroups.read(request)
        await self._index.fresh()
        return (await self._reading.groups(wanted.match)).to_json()

    async def list(self, request: Json, caller: RequestCaller) -> Json:
        """ListDeadLetters → DeadLetterPage."""
        require(caller, SERVICE, "list")
        wanted = ListDeadLetters.read(request)
        await self._index.fresh()
        return (await self._reading.page(wanted)).to_json()

    async def show(self, request: Json, caller: RequestCaller) -> Json:
        """ShowDeadLetter → DeadLetter."""
        require(caller, SERVICE, "show")
        wanted = ShowDeadLetter.read(request)
        await self._index.fresh()
        return (await self._reading.show(wanted.sequence)).to_json()

    async def stats(self, request: Json, caller: RequestCaller) -> Json:
        """DeadLetterStatsQuery → DeadLetterStats."""
        require(caller, SERVICE, "stats")
        DeadLetterStatsQuery.read(request)
        await self._index.fresh()
        return self._reading.stats().to_json()

    async def export(self, request: Json, caller: RequestCaller) -> Json:
        """ExportDeadLetters → ExportPage. Each page is on the audit trail before it is given out."""
        require(caller, SERVICE, "export")
        wanted = ExportDeadLetters.read(request)
        _reason(wanted.reason)
        await self._whole()
        page = await self._reading.export(wanted)
        if page.dead_letters:
            sequences = [each.sequence for each in page.dead_letters]
            actor = actor_of(caller, wanted.by)
            await self._audit("exported", actor, caller, wanted.reason, wanted.match, sequences)
        return page.to_json()

    async def _mark(self, operation: str, state: Mark, request: Json, caller: RequestCaller) -> Json:
        require(caller, SERVICE, operation)
        wanted = MarkDeadLetters.read(request)
        _reason(wanted.reason)
        if not bounded(wanted.match):
            raise Refused(
                "REPLAY_UNBOUNDED", "no worker, code, type, publisher, time or dead letter is named", pointer="/match"
            )
        begin = tuple(wanted.match.states) or FROM[state]
        await self._whole()
        match = wanted.match.model_copy(update={"states": list(begin)})
        chosen = [each.sequence async for each in select(self._index, match) if each.state != state]
        if not chosen:
            return MarkedDeadLetters(state=state, dead_letters=0, messages=0).to_json()
        actor = actor_of(caller, wanted.by)
        await self._audit("reopened" if state == "open" else state, actor, caller, wanted.reason, match, chosen)
        moved = await self._index.states.move(chosen, state, begin or get_args(DeadLetterState))
        messages = sum(self._index.messages(each) for each in moved)
        await self._index.fresh()
        _log.info("dead_letters_marked", state=state, dead_letters=len(moved), by=actor)
        return MarkedDeadLetters(state=state, dead_letters=len(moved), messages=messages).to_json()

    async def _whole(self) -> None:
        """Raises Unavailable while the index does not know every dead letter."""
        await self._index.fresh()
        if not self._index.complete:
            raise Unavailable("OVERLOADED", "the dead letters are still being read", retry_after=5)

    async def _audit(
        self, what: str, actor: str, caller: RequestCaller, reason: str, match: DeadLetterMatch, chosen: Sequence[int]
    ) -> None:
        await record.write(
            self._broker,
            f"dead_letters_{what}",
            actor,
            through=caller.identity,
            match=match.to_json(),
            dead_letters=len(chosen),
            messages=sum(self._index.messages(each) for each in chosen),
            first=chosen[0],
            last=chosen[-1],
            reason=reason.strip(),
        )


def _reason(text: str) -> None:
    if not text.strip():
        raise Refused("REPLAY_REASON_MISSING", "no reason is given", pointer="/reason")
