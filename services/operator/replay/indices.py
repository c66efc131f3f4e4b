"""The rebuilds of indices and tables: their documents in the bucket, and svc.index.* and svc.tables.* as the operator
asks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import structlog

from penstock.broker import if_there
from penstock.errors import Refused
from penstock.replay import rebuild
from penstock.replay.rebuild import Rebuild
from penstock.rpc.client import ask
from penstock.rpc.messages import CheckedIndex, CheckIndex, Indices, RebuiltIndex, StreamEnd
from penstock.services.operator.replay.runs import Runs

_log = structlog.get_logger("penstock.operator.replay")

TIMEOUT = 30.0  # seconds
TABLE = "table-"  # before the name of a table, where indices have their alias


class RebuiltIndices:
    """Opens, swaps and drops. Everything can be done again by whoever takes over. Every request for a change names the
    revision at which it was decided, so that none of a replica that was suspended meanwhile takes effect late."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def find(self, alias: str) -> tuple[Rebuild | None, int]:
        """The rebuild of an alias that is open, and the revision of its document."""
        found, revision = await self._find(alias)
        return (found if found is not None and found.open else None), revision

    async def _find(self, alias: str) -> tuple[Rebuild | None, int]:
        entry = await if_there(self._runs.keys.get(rebuild.key(alias)))
        if entry is None:
            return None, 0
        return Rebuild.model_validate_json(entry.value), entry.revision

    async def of_run(self, run: str, *, dropped: bool = False) -> tuple[Rebuild, int]:
        """The rebuild of a run: one that is open or, with `dropped`, was the last to be. Raises Refused NOT_FOUND."""
        found, _ = await self._runs.get(run)
        opened, revision = await self._find(found.alias) if found.alias else (None, 0)
        if opened is None or opened.run != run or not (opened.open or dropped):
            raise Refused("NOT_FOUND", f"run {run} has no index beside the live one (any more)")
        return opened, revision

    async def describe(self, alias: str) -> Indices:
        """What there is of an alias. Raises PenstockError."""
        return await self._ask("list", {"alias": alias})

    async def open(self, alias: str, run: str, members: Sequence[str] = ()) -> Rebuild:
        """Makes the next generation beside the live one, and has it kept current from then on; `members`: the aliases
        of the periods that share it. Raises Refused CONFLICT when another run's rebuild is open."""
        found, revision = await self._find(alias)
        if found is None or not found.open:
            there = await self._ask("list", {"alias": alias})
            if there.beside is not None and not is_table(alias):
                # Of a request that was not finished. With two indices beside the live one neither could be written to.
                there = await self._ask("drop", {"alias": alias, "revision": revision})
            found = Rebuild(alias=alias, run=run, index=_next(alias, there, found), members=tuple(members))
            await self._ask("prepare", _target(found, found.index, revision))
            await self._put(found, revision)
        if found.run != run:
            raise Refused("CONFLICT", busy(found))
        return found

    async def check(self, alias: str, keys: list[str], ends: Sequence[StreamEnd] = ()) -> CheckedIndex:
        """What the index or table beside the live one holds, and how much of it is behind these ends."""
        wanted = CheckIndex(alias=alias, keys=keys, ends=list(ends)).to_json()
        answer = await ask(self._runs.broker, service_of(alias), "check", wanted, timeout=TIMEOUT)
        return CheckedIndex.model_validate(answer)

    async def swap(self, found: Rebuild, revision: int) -> RebuiltIndex:
        """Makes the new index the live one. The old one stays beside it, and is kept current."""
        there = await self._ask("swap", _target(found, found.index, revision))
        return await self._moved(found, revision, "swapped", there)

    async def rollback(self, found: Rebuild, revision: int) -> RebuiltIndex:
        """Puts the old index back. Raises Refused CONFLICT when the new one is not live, or there was no old one."""
        there = await self._ask("list", {"alias": found.alias})
        if found.state == "rolled_back":
            return _shown(found, there)
        if found.state != "swapped" or there.beside is None:
            why = f"nothing is beside {found.index}" if found.state == "swapped" else f"it is {found.state}"
            raise Refused("CONFLICT", f"the rebuild of {found.alias} cannot be rolled back: {why}")
        if there.live == found.index:  # and not swapped back already, by a request whose end nobody saw
            there = await self._ask("swap", _target(found, there.beside, revision))
        return await self._moved(found, revision, "rolled_back", there)

    async def drop(self, found: Rebuild, revision: int) -> RebuiltIndex:
        """Deletes the index beside the live one; nothing is written to it from now on. May be asked for again, as long
        as nobody has begun another rebuild."""
        dropped = found.model_copy(update={"state": "dropped"})
        if found.open:
            revision = await self._put(dropped, revision)
        return _shown(dropped, await self._ask("drop", {"alias": found.alias, "revision": revision}))

    async def _moved(
        self, found: Rebuild, revision: int, state: Literal["swapped", "rolled_back"], there: Indices
    ) -> RebuiltIndex:
        moved = found.model_copy(update={"state": state})
        await self._put(moved, revision)
        return _shown(moved, there)

    async def _put(self, document: Rebuild, revision: int) -> int:
        encoded = document.model_dump_json().encode()
        put = await self._runs.keys.put(rebuild.key(document.alias), encoded, expected=revision)
        self._runs.notify()
        _log.info("rebuild_changed", alias=document.alias, run=document.run, state=document.state)
        return put

    async def _ask(self, operation: str, body: dict[str, Any]) -> Indices:
        service = service_of(body["alias"])
        return Indices.model_validate(await ask(self._runs.broker, service, operation, body, timeout=TIMEOUT))


def is_table(alias: str) -> bool:
    """Whether it names the tables of a name in Cassandra, and not the indices of a period."""
    return alias.startswith(TABLE)


def service_of(alias: str) -> str:
    """Who serves requests about it."""
    return "tables" if is_table(alias) else "index"


def _target(found: Rebuild, index: str, revision: int) -> dict[str, Any]:
    body: dict[str, Any] = {"alias": found.alias, "index": index, "revision": revision}
    return {**body, "members": list(found.members)} if found.members else body


def _next(alias: str, there: Indices, last: Rebuild | None) -> str:
    """The name of what is filled: of two tables the other one, of indices the next generation."""
    if is_table(alias):
        return next(name for name in there.all if name != there.live)
    # Never a name again: a deletion that comes late must not find another index. Nor the first: live traffic makes
    # that one, where the period has none.
    numbers = [int(name.rpartition("-g")[2]) for name in (*there.all, *([last.index] if last is not None else ()))]
    return f"{alias}-g{max([1, *numbers]) + 1}"


def busy(found: Rebuild) -> str:
    """Why another rebuild must wait."""
    return f"run {found.run} rebuilt {found.alias} ({found.state}); end that first: penstock replay drop {found.run}"


def _shown(found: Rebuild, there: Indices) -> RebuiltIndex:
    return RebuiltIndex(alias=found.alias, run=found.run, state=found.state, live=there.live, beside=there.beside)
