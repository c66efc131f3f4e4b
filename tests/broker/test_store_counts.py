"""Counts of the store that the operator asks for, page by page, while those who count do not answer."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import Unavailable
from penstock.replay.run import Change, Run
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import CountTable, StoredUpTo, StoreSelection, TableCount
from penstock.rpc.server import serve
from penstock.services.operator.replay import store_pages, table_count
from penstock.services.operator.replay.store_count import StoreCount
from tests.support.broker_rig import Rig

UP_TO = StoredUpTo(stream="EVENTS_NATS", epoch=1, first=1, last=9)
SELECTION = StoreSelection(periods=("2026-11",))


async def test_a_count_of_which_nothing_could_be_read_fails(rig: Rig) -> None:
    operator = await rig.broker("operator")
    count = StoreCount(request="", selection=SELECTION, streams=[UP_TO])
    with pytest.raises(Unavailable):
        await count.go_on(operator, 1.0)


async def test_the_rows_of_a_table_are_counted_although_pages_fail(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_count, "PAUSE", 0.01)
    asked = 0

    async def count(request: dict[str, Any], _: RequestCaller) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked % 3 == 0:
            raise Unavailable("TIMED_OUT", "Cassandra did not answer in time", retry_after=1)
        end = CountTable.read(request).after is not None
        return TableCount(count=5, after="a", end=end).to_json()

    service = await serve(await rig.broker("writer"), "tables", {"count": count})
    run = Run(
        id="r-table", plan="p", target="writer", source="store", effect="rebuild", ranges=(), planned=0, rate=1.0,
        changes=(Change(state="running", at="2026-11-29T00:00:00Z", by="ann"),), store=SELECTION, alias="table-events",
    )  # fmt: skip
    operator = await rig.broker("operator")
    rows = [await table_count.rows(operator, run.alias, place) for place in store_pages.partitions(SELECTION)]
    await service.stop(0.3)
    assert rows == [2 * 5] * len(rows)
