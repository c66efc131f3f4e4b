"""svc.tables.count, page by page → the rows of the table that a run fills"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from penstock.broker import Broker
from penstock.errors import PenstockError, Unavailable
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import TableCount
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.indices import service_of

ABREAST = 4  # partitions counted at a time
PATIENCE, PAUSE = 60.0, 1.0  # seconds for which a page that fails is asked for again, and between two tries


async def rows(broker: Broker, run: Run) -> int:
    """All of them. Raises PenstockError."""
    todo = iter(store_pages.partitions(run.store) if run.store is not None else ())
    total = 0

    async def work() -> None:
        nonlocal total
        for period, pp in todo:
            place = {"alias": run.alias, "period": period, "pp": pp}
            page = TableCount(count=0)
            while not page.end:
                body = place | ({"after": page.after} if page.after is not None else {})
                page = TableCount.model_validate(await _ask_patiently(broker, service_of(run.alias), body))
                total += page.count

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(ABREAST):
                group.create_task(work())
    except* PenstockError as failed:
        raise failed.exceptions[0] from None
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
