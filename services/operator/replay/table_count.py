"""svc.tables.count, page by page → what a table that was filled lacks of the live records, and what it has beyond them

Live rows go to both tables in one mutation. So whatever the live one held at a moment is in the other one later, and
the other way round: a difference that is not made by what arrives meanwhile is seen for certain, in each partition.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from penstock.broker import Broker
from penstock.errors import Unavailable
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import TableCount
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.indices import service_of

TRIES = 3  # until a partition is counted without anything arriving meanwhile
PATIENCE, PAUSE = 60.0, 1.0  # seconds for which a page that fails is asked for again, and between two tries


@dataclass(slots=True)
class Compared:
    """Rows in all; how many are missing or too many; and how many arrived while their partition was counted, of which
    as many might be missing unseen."""

    held: int = 0
    missing: int = 0
    extra: int = 0
    arrived: int = 0


async def compare(broker: Broker, run: Run) -> Compared:
    """The table that a run fills with the live records. Raises PenstockError."""
    found = Compared()
    await store_pages.each(await _partitions(broker, run), lambda place: _compare(broker, run.alias, place, found))
    return found


async def _partitions(broker: Broker, run: Run) -> list[store_pages.Partition]:
    """Also those that live traffic has begun meanwhile."""
    if run.store is None:
        return []
    periods = await store_pages.periods(broker, run.store.match.begin, run.store.match.end)
    return store_pages.partitions(run.store.model_copy(update={"periods": periods}))


async def _compare(broker: Broker, alias: str, place: store_pages.Partition, found: Compared) -> None:
    held = await rows(broker, alias, place)
    for _ in range(TRIES):
        records = await rows(broker, alias, place, records=True)
        before, held = held, await rows(broker, alias, place) if held < records else held
        if before >= records:
            break
    found.held += held
    found.extra += max(before - records, 0)
    found.missing += max(records - held, 0)
    found.arrived += max(held - before, 0)


async def rows(broker: Broker, alias: str, place: store_pages.Partition, *, records: bool = False) -> int:
    """Of one partition of the table beside the live one, or of the live records. Raises PenstockError."""
    body: dict[str, Any] = {"alias": alias, "period": place[0], "pp": place[1], "records": records}
    page, total = TableCount(count=0), 0
    while not page.end:
        after = {"after": page.after} if page.after is not None else {}
        page = TableCount.model_validate(await _ask_patiently(broker, service_of(alias), body | after))
        total += page.count
    return total


async def _ask_patiently(broker: Broker, service: str, body: dict[str, Any]) -> dict[str, Any]:
    """One page. One that fails does not begin the whole count anew, unless it fails for PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await ask(broker, service, "count", body, timeout=store_pages.TIMEOUT)
        except Unavailable:
            if time.monotonic() >= until:
                raise
            await asyncio.sleep(PAUSE)
