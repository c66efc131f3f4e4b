"""The brakes of real worker processes, seen and opened with `penstock worker`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from penstock.broker import Broker
from penstock.consume import Delivery, Done, Drop, Outcome
from penstock.runtime import Parts, Source
from penstock.services.operator.__main__ import build
from penstock.settings import Settings
from tests.support.broker_rig import CONSUMER, STREAM, Rig
from tests.support.command import worker
from tests.support.records import records_of
from tests.support.until import until
from tests.support.workers import RunningWorker


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[Rig]:
    await rig.consumer()
    async with RunningWorker(rig, "operator", build):
        yield rig


class Store:
    """The sink of an indexer, which refuses everything while it is `broken`."""

    def __init__(self) -> None:
        self.broken = True
        self.stored = 0

    async def handle(self, batch: list[Delivery]) -> list[Outcome]:
        if self.broken:
            return [Drop("SINK_REFUSED", "broken mapping")] * len(batch)
        self.stored += len(batch)
        return [Done()] * len(batch)

    async def parts(self, _: Broker, __: Settings) -> Parts:
        return Parts(sources=[Source(stream=STREAM, consumer=CONSUMER, decode=lambda each: each, handle=self.handle)])


async def test_a_closed_brake_is_shown_and_opened_with_the_command(operator: Rig) -> None:
    store = Store()
    letters, trail = await operator.next_sequence("DLQ"), await operator.next_sequence("AUDIT")
    async with RunningWorker(operator, "indexer", store.parts) as indexer:
        for publisher in ("one", "two", "three"):
            await operator.store([b"x"] * 100, publisher=publisher)
        await until(lambda: any("the brake is closed" in reason for reason in indexer.unready_reasons()))
        (reason,) = indexer.unready_reasons()

        async def reported() -> bool:
            code, out, _ = await worker(operator, "status", "indexer", "--json")
            return code == 3 and json.loads(out)["replicas"][0]["brake"] is not None

        await until(reported)
        code, out, errors = await worker(operator, "status", "indexer")
        assert code == 3, errors
        assert "braked" in out
        assert "`penstock worker resume indexer --reason …`" in out
        assert reason.split(" until ")[0] in out
        code, _, errors = await worker(operator, "resume", "indexer", "--reason", " ")
        assert (code, errors.split()[0]) == (1, "REASON_MISSING"), errors
        code, _, errors = await worker(operator, "resume", "writer", "--reason", "a test")
        assert code == 1
        assert "NOT_FOUND" in errors

        store.broken = False
        code, out, errors = await worker(operator, "resume", "indexer", "--reason", "rolled back", "--by", "ann")
        assert code == 0, errors
        assert "the brake is open" in out
        await operator.settled()
        assert store.stored == 300
        assert indexer.unready_reasons() == []
        code, out, _ = await worker(operator, "resume", "indexer", "--reason", "again")
        assert (code, out.strip()) == (0, "no brake of indexer is closed")
    code, out, errors = await worker(operator, "status", "indexer")
    assert (code, out.strip()) == (0, "no replica reports"), errors  # it has stopped, and its last report says so
    assert await operator.stored("DLQ", letters) == []
    found = [each for each in await operator.stored("AUDIT", trail) if each.subject == "audit.operator.worker_resumed"]
    (record,) = records_of(found)
    assert record.value is not None
    assert (record.value["actor"], record.value["reason"], record.value["codes"]) == (
        "ann", "rolled back", ["SINK_REFUSED"],
    )  # fmt: skip
