"""Cassandra's tables, compared with the migrations and with what was seen of them → what is gone, and what helps

It only reads: a table that is missing is made by `penstock provision` alone, and one that was emptied stays named until
its rows are back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from penstock.runtime import Findings
from penstock.services.writer import migrate
from penstock.services.writer.generations import LIST, SECOND, Generation
from penstock.services.writer.queries.statements import COLUMNS, DROPPED, TABLES, TRUNCATED, Reads
from penstock.services.writer.repairs import Repairs
from penstock.services.writer.table_ledger import State, TableLedger
from penstock.services.writer.table_schema import wanted, wrong

PROVISION = "`penstock provision`"
# Of each name the command that brings its rows back.
_REPLAY = '`penstock replay plan writer {options} --reason "rows are gone"`, then `penstock replay apply <hash>`'
_OLDER = "; what is older than the streams hold comes from a backup of Cassandra only"
FIX = {
    "events": _REPLAY.format(options="--since 7d") + _OLDER,
    "timeline": _REPLAY.format(options="--source store --effect rebuild --table timeline"),
    "scores": _REPLAY.format(options="--source scores --since 7d") + _OLDER,
    "periods": "restart the writers, then " + _REPLAY.format(options="--since 7d") + _OLDER,
    "audit": "delete the consumer `writer` of AUDIT, then `penstock provision` (docs/replay.md says how)",
}


class Live(Protocol):
    """Which table of a name is live."""

    of: Any


class TableCheck:
    """Looks at the tables of one keyspace."""

    def __init__(self, reads: Reads, generations: Live, ledger: TableLedger, repairs: Repairs) -> None:
        self._reads = reads
        self._generations = generations
        self._ledger = ledger
        self._repairs = repairs
        self._wanted = wanted(statement for each in migrate.read() for statement in each.statements)

    async def check(self) -> Findings:
        """What is wrong. Raises Unavailable while Cassandra or the broker cannot be asked."""
        columns: dict[str, dict[str, str]] = {}
        for row in await self._reads.read(COLUMNS):
            columns.setdefault(row.table_name, {})[row.column_name] = row.type
        reasons = [f"{each}: {PROVISION} makes it anew, empty" for each in wrong(self._wanted, columns)]
        forgotten = SECOND.keys() - {row.name for row in await self._reads.read(LIST)}
        reasons += [_forgotten(name, await self._ledger.live(name)) for name in sorted(forgotten)]
        states = await self._states()
        notes = []
        for name, fix in FIX.items():
            live = self._generations.of.get(name, Generation(name)).live
            if live not in states or name in forgotten:
                continue
            state = await self._ledger.seen(name, live, states[live], self._repairs.ends)
            if since := state.incomplete_since:
                if await self._repairs.made(name, since, state.ends):
                    await self._ledger.repaired(name, live)
                else:
                    notes.append(f"Cassandra's table {live} lost its rows before {since}: {fix}")
        return Findings(reasons=tuple(reasons), notes=tuple(notes))

    async def _states(self) -> dict[str, State]:
        """Of each table that there is."""
        ids = {row.table_name: row.id for row in await self._reads.read(TABLES)}
        [local] = await self._reads.read(TRUNCATED)
        emptied = {id: int.from_bytes(value[-8:]) for id, value in (local.truncated_at or {}).items()}
        lost: dict[str, int] = {}
        for row in await self._reads.read(DROPPED):
            if row.column_name in self._wanted.get(row.table_name, ()):
                dropped = unix_ms(row.dropped_time)
                lost[row.table_name] = max(lost.get(row.table_name, 0), dropped)
        return {
            name: State(id=str(id), emptied_ms=emptied.get(id, 0), column_lost_ms=lost.get(name, 0))
            for name, id in ids.items()
        }


def unix_ms(time: datetime) -> int:
    """Of a time as the driver gives it: UTC, without saying so."""
    return int(time.replace(tzinfo=UTC).timestamp() * 1000)


def _forgotten(name: str, live: str) -> str:
    change = f"UPDATE generations SET live = '{live}' WHERE part = 'all' AND name = '{name}'"  # noqa: S608 - our names
    return f"which of {name} and {SECOND[name]} is live stands nowhere in Cassandra any more; it was {live}: `{change}`"
