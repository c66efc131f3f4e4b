"""A deploy breaks the mapping of an event type. What Elasticsearch then refuses becomes dead letters, or, where it is
most of what publishers send, is kept by the brake. The deploy is rolled back, the index rebuilt beside the live one and
swapped, the dead letters are redriven or the brake is opened: everything is found, and no search has failed meanwhile.

The commands are those of the runbook "bad deploy" in docs/replay.md. DEAD_LETTERS=10000 for as many.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from penstock.broker import Broker
from penstock.stack import process
from tests.support.command import output_of
from tests.support.full_stack import PUBLISHERS, FullStack
from tests.support.runbook import Runbook
from tests.support.searches import Searches, searching
from tests.support.until import until

DEAD_LETTERS = int(os.environ.get("DEAD_LETTERS") or 600)
BATCH = 200
INDEXERS = ("indexer_0", "indexer_1")
TEMPLATE = "/_component_template/penstock-events-metrics"
LONG = 240.0


class BadDeploy:
    """An indexer that has put a template in which a sample's value is an object, and has made an index from it: of a
    month that has none yet."""

    def __init__(self, stack: FullStack, month: str) -> None:
        self.stack = stack
        self.month = month
        self.sent = 0  # samples
        self._number = 0

    async def deploy(self) -> None:
        """Puts the template, and makes the index."""
        async with httpx.AsyncClient(base_url=self.stack.place.elasticsearch) as http:
            [found] = (await http.get(TEMPLATE)).raise_for_status().json()["component_templates"]
            template = found["component_template"]
            properties = template["template"]["mappings"]["properties"]["event"]["properties"]["data"]["properties"]
            properties["value"] = {"type": "object"}
            (await http.put(TEMPLATE, json={"template": template["template"]})).raise_for_status()
            alias = f"events-metrics-{self.month}"
            # As an indexer does: aliases only once the shard has started, or searches through them would fail.
            (await http.put(f"/{alias}-g1", timeout=60.0)).raise_for_status()
            started = {"wait_for_status": "yellow", "timeout": "30s"}
            (await http.get(f"/_cluster/health/{alias}-g1", params=started, timeout=60.0)).raise_for_status()
            actions = [{"add": {"index": f"{alias}-g1", "alias": each}} for each in (alias, "events-metrics")]
            (await http.post("/_aliases", json={"actions": actions})).raise_for_status()

    async def roll_back(self) -> None:
        """The indexers of before start, one after the other, and put their templates."""
        for name in INDEXERS:
            await asyncio.to_thread(process.stop, self.stack.place, name)
            await self.stack.again(name)

    async def send(self, samples: int, share: float) -> None:
        """So many samples, among log lines of the same publishers; `share`: of all events."""
        goal = self.sent + samples
        while self.sent < goal:
            await asyncio.gather(*(self._post(publisher, goal, share) for publisher in PUBLISHERS))

    async def _post(self, publisher: str, goal: int, share: float) -> None:
        events: list[bytes] = []
        owed = 0.0
        while len(events) < BATCH:
            owed += share
            if is_sample := owed >= 1.0 and self.sent < goal:
                owed -= 1.0
                self.sent += 1
            events.append(self._event(publisher, is_sample))
        body = b"[" + b",".join(events) + b"]"
        while (answer := await self.stack.post(publisher, body, "cloudevents-batch+json")).status_code == 503:
            pass
        assert answer.status_code == 202, answer.text
        self.stack.accepted |= {result["key"] for result in answer.json()["results"]}

    def _event(self, publisher: str, is_sample: bool) -> bytes:
        self._number += 1
        event: dict[str, Any] = {"specversion": "1.0", "source": f"/{publisher}"}
        event["id"] = f"mapping-{self.month}-{time.time_ns()}-{self._number}"
        if is_sample:
            event |= {"type": "metric.sample.v1", "subject": f"series-{self._number % 31}"}
            event |= {"time": f"{self.month}-15T12:00:00Z", "data": {"name": "load", "value": 1.0 + self._number}}
        else:
            event |= {"type": "log.line.v1", "subject": f"host-{self._number % 61}"}
            event |= {"time": f"{self.month}-15T12:00:00Z", "data": {"message": f"request {self._number} done"}}
        return orjson.dumps(event)

    # -- what the operator does

    async def penstock(self, *arguments: str) -> str:
        return await output_of(self.stack.place, *arguments, bound=LONG)

    def runbook(self, folder: Path) -> Runbook:
        """That of this page, about this month."""
        values = {"2026-11": self.month, "<run>": f"rebuild-{self.month}"}
        return Runbook(self.stack.place, folder, "docs/replay.md", "bad deploy", values)

    async def open_dead_letters(self) -> int:
        """Messages that the indexer refused, as `penstock dlq stats` has them."""
        stats = json.loads(await self.penstock("dlq", "stats", "--json"))
        codes = {"worker": "indexer", "code": "SINK_REFUSED"}
        return sum([group["messages"] for group in stats["open"] if codes.items() <= group.items()])


async def rebuild(book: Runbook) -> None:
    """The index of the month, from the store."""
    book.hash(json.loads(await book.run("penstock replay plan", "--json", bound=LONG))["hash"])
    await book.run("penstock replay apply", "--json", bound=LONG)
    await book.run("penstock replay report", bound=LONG)


async def redrive(book: Runbook) -> None:
    """The dead letters, with its proof."""
    book.hash(json.loads(await book.run("penstock dlq plan", "--json", bound=LONG))["hash"])
    await book.run("penstock dlq redrive", "--json", bound=LONG)
    await book.run("penstock replay report r-", bound=LONG)


@pytest.fixture
async def indexers(full_stack: FullStack) -> AsyncIterator[None]:
    """Two of them, so that searches go on while one starts."""
    other = INDEXERS[1]
    full_stack.settings_of[other] = full_stack.place.model_copy(update={"fleet": {"indexer": 2}})
    await full_stack.again(other)
    yield
    await asyncio.to_thread(process.stop, full_stack.place, other)
    del full_stack.settings_of[other]
    full_stack.letters = len(await full_stack.dead_letters())  # these are no surprise to the tests that follow


@pytest.fixture
async def dashboard(full_stack: FullStack) -> AsyncIterator[Broker]:
    broker = await Broker.connect(full_stack.place.nats, "dashboard", full_stack.place.credentials_folder)
    yield broker
    await broker.drain()


def samples_of(month: str) -> dict[str, Any]:
    """The question for all of them."""
    return {"datasets": ["metrics"], "time": {"from": f"{month}-01T00:00:00Z", "to": f"{month}-28T00:00:00Z"}}


async def found(searches: Searches, count: int) -> None:
    """Waits until a search finds so many; none may have failed."""
    await until(lambda: searches.totals[-1:] == [count], LONG, lambda: f"{count} found, not {searches.totals[-1:]}")
    assert not searches.failures


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("indexers")
async def test_dead_letters_of_a_broken_mapping_are_found_after_rebuild_and_redrive(
    full_stack: FullStack, dashboard: Broker, tmp_path: Path
) -> None:
    deploy = BadDeploy(full_stack, "2024-03")
    book = deploy.runbook(tmp_path)
    await full_stack.settled()
    before = await deploy.open_dead_letters()
    async with searching(dashboard, samples_of(deploy.month)) as searches:
        await deploy.deploy()
        await deploy.send(DEAD_LETTERS, share=0.4)
        await full_stack.settled()
        full_stack.note(f"{deploy.sent} samples sent")
        await until(lambda: _equals(deploy.open_dead_letters, before + DEAD_LETTERS), LONG)
        await book.run("penstock worker status", codes=(0, 3))
        assert "indexer SINK_REFUSED" in await book.run("penstock dlq stats")
        assert "metric.sample.v1" in await book.run("penstock dlq list --worker")
        newest = json.loads(await book.run("penstock dlq list --single", "--json --limit 1"))["dead_letters"][0]
        book.values["<number>"] = str(newest["sequence"])
        assert "document_parsing_exception" in await book.run("penstock dlq show")
        full_stack.note("found with dlq stats")
        await deploy.roll_back()
        await rebuild(book)
        full_stack.note("rebuilt")
        await deploy.send(50, share=0.4)  # the old index still stands beside the new one, and refuses them
        await book.run("penstock worker resume", codes=(0, 3))
        await redrive(book)
        full_stack.note("redriven")
        await found(searches, DEAD_LETTERS + 50)
        await book.run("penstock replay drop")
        await book.run("penstock dlq stats")
        assert book.left == []
        await full_stack.settled()
        assert await deploy.open_dead_letters() == before
        await found(searches, DEAD_LETTERS + 50)
    full_stack.note(f"{len(searches.totals)} searches, none failed")
    full_stack.letters = len(await full_stack.dead_letters())
    await full_stack.assert_complete()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("indexers")
async def test_what_the_brake_kept_is_found_after_rebuild_and_resume(
    full_stack: FullStack, dashboard: Broker, tmp_path: Path
) -> None:
    deploy = BadDeploy(full_stack, "2024-05")
    book = deploy.runbook(tmp_path)
    await full_stack.settled()
    before = await deploy.open_dead_letters()
    async with searching(dashboard, samples_of(deploy.month)) as searches:
        await deploy.deploy()
        await deploy.send(600, share=0.9)
        for name in INDEXERS:
            await full_stack.unready(name, "the brake is closed")
        assert "SINK_REFUSED" in await book.run("penstock worker status", codes=(3,))
        await deploy.roll_back()
        await rebuild(book)
        # The brakes of the new indexers may be closed or not: the index may have been swapped before they tried. Those
        # of the old ones, which were stopped a moment ago, are named as not confirmed.
        await book.run("penstock worker resume", codes=(0, 3))
        # Among good events of a moment before, the first refusals may not have been share enough to close a brake.
        if await deploy.open_dead_letters() > before:
            await redrive(book)
        await found(searches, 600)
        await book.run("penstock replay drop")
        assert await deploy.open_dead_letters() == before
    full_stack.letters = len(await full_stack.dead_letters())
    await full_stack.assert_complete()


async def _equals(look: Any, count: int) -> bool:
    return bool(await look() == count)
