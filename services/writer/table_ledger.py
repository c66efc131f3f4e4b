"""bucket `tables` → which of Cassandra's tables have lost rows, seen by what the node says of each

A table that was dropped and made anew has another id; one that was emptied (TRUNCATE), or has lost a column, has the
time of that. What was seen is kept in the broker, so that the loss is known after any restart, until it is repaired.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from pydantic import BaseModel, ValidationError

from penstock.broker import Broker, Keys, if_there
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.services.writer.metrics import TABLES_LOST
from penstock.services.writer.repairs import SOURCES

_log = structlog.get_logger(__name__)
BUCKET = "tables"
CLOCKS_MS = 1_000  # by which nodes may differ on when a table was emptied; each says it by its own clock


class State(BaseModel):
    """A table: its id, when it was emptied and when it lost a column (Unix milliseconds; 0: never), and since when rows
    are missing (RFC 3339; empty: none are), with the last sequences that the streams had then."""

    id: str
    emptied_ms: int = 0
    column_lost_ms: int = 0
    incomplete_since: str = ""
    ends: Mapping[str, int] = {}

    def is_that_of(self, other: State) -> bool:
        """Whether nothing was lost between the two."""
        emptied = self.emptied_ms > other.emptied_ms + CLOCKS_MS
        return self.id == other.id and not emptied and self.column_lost_ms <= other.column_lost_ms


class Known(BaseModel):
    """What was seen of a name: which table was live, and each of its tables as it was while it was live."""

    live: str
    states: dict[str, State]

    def next(self, name: str, live: str, now: State) -> tuple[State, bool]:
        """The state of the table that is live now, and whether it has lost rows since it was seen last."""
        before = self.states.get(live)
        if before is not None and now.is_that_of(before):
            return before, False
        if self.live == live:
            return now, True
        if name in SOURCES:  # filled by a rebuild from the table that was live, so it lacks what that one lacked
            origin = self.states[self.live]
            return now.model_copy(update={"incomplete_since": origin.incomplete_since, "ends": origin.ends}), False
        return now, False  # filled anew from another table


class TableLedger:
    """The entries, by name."""

    def __init__(self, broker: Broker) -> None:
        self._keys = Keys(broker, BUCKET)

    async def seen(
        self, name: str, live: str, now: State, ends: Callable[[str], Awaitable[Mapping[str, int]]]
    ) -> State:
        """The state of the live table of a name. One that has changed while it was live has lost rows; one that was not
        live was filled by a rebuild. `ends` finds where the streams end from which a replay restores it. Raises
        Unavailable."""
        known, revision = await self._get(name)
        before = known.states.get(live) if known is not None else None
        state, is_lost = known.next(name, live, now) if known is not None else (now, False)
        if is_lost:
            since = timestamps.text(time.time_ns())
            state = now.model_copy(update={"incomplete_since": since, "ends": await ends(name)})
        elif known is not None and known.live == live:
            return state
        if await self._put(name, live, state, known, revision) and is_lost:
            TABLES_LOST.labels(name).inc()
            _log.error("table_lost", table=live, before=before and before.model_dump(), now=state.model_dump())
        return state

    async def live(self, name: str) -> str:
        """The table of a name that was live when it was seen last; the first one where none was. Raises Unavailable."""
        known, _ = await self._get(name)
        return known.live if known is not None else name

    async def repaired(self, name: str, live: str) -> None:
        """The live table has its rows again. Raises Unavailable."""
        known, revision = await self._get(name)
        if known is not None and (state := known.states.get(live)) is not None:
            whole = state.model_copy(update={"incomplete_since": "", "ends": {}})
            if await self._put(name, live, whole, known, revision):
                _log.info("table_repaired", table=live)

    async def _get(self, name: str) -> tuple[Known | None, int]:
        entry = await if_there(self._keys.get(name))
        if entry is None:
            return None, 0
        try:
            return Known.model_validate_json(entry.value), entry.revision
        except ValidationError as error:
            raise Unavailable(
                "BROKER_UNAVAILABLE", f"the entry {name} of the bucket {BUCKET} is not readable"
            ) from error

    async def _put(self, name: str, live: str, state: State, known: Known | None, revision: int) -> bool:
        """False where another writer was faster; the next check reads what it noted."""
        states = {**(known.states if known is not None else {}), live: state}
        value = Known(live=live, states=states).model_dump_json().encode()
        try:
            await self._keys.put(name, value, expected=revision)
        except Refused as error:
            if error.code != "CONFLICT":
                raise
            return False
        return True
