"""`penstock migrate` at the real stores: indices of an older mapping are found, rebuilt and swapped, one by one."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch.mapping_version import versioned
from penstock.elasticsearch.templates import templates
from penstock.rpc.client import ask
from penstock.rpc.messages import IndexMappings
from tests.support.broker_rig import Rig
from tests.support.command import penstock
from tests.support.deliveries import CONTRACTS, line, sample
from tests.support.rebuilds import REBUILD, everywhere, sources
from tests.support.replay_console import Console

LOGS, METRICS = "events-logs-2026", "events-metrics-2026-11"
LONG = 120.0  # seconds; the machine may be busy


async def create(client: AsyncElasticsearch, alias: str, *, without: str, says: bool) -> None:
    """The index of a period as a release made it that did not index one member yet. `says`: with a digest."""
    dataset = alias.split("-")[1]
    name = f"penstock-events-{dataset}"
    today = templates(CONTRACTS)["component"][name]["template"]["mappings"]
    before = copy.deepcopy({each: value for each, value in today.items() if each != "_meta"})
    del before["properties"]["event"]["properties"]["data"]["properties"][without]
    await client.cluster.put_component_template(name=name, template={"mappings": versioned(before) if says else before})
    await client.indices.create(index=f"{alias}-g1", aliases={alias: {}, f"events-{dataset}": {}})
    await client.cluster.put_component_template(name=name, template={"mappings": today})


async def migrate(rig: Rig, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    periods = ("--period", "2026", "--period", "2026-11")
    code, out, errors = await penstock(rig, "migrate", *arguments, *periods, "--json", bound=LONG)
    assert not errors, errors
    return code, [json.loads(row) for row in out.splitlines()]


async def test_indices_of_an_older_mapping_are_rebuilt_one_by_one_and_a_second_call_goes_on(
    workers: Rig, console: Console, client: AsyncElasticsearch
) -> None:
    # Once these have their indices, the indexer has put today's templates, and puts them no more.
    past = {"time": "2025-11-01T11:00:00Z"}
    await everywhere(workers, [line("of last year", **past), sample("load", 1.0, **past)])
    await create(client, LOGS, without="level", says=True)
    await create(client, METRICS, without="unit", says=False)
    logs = await everywhere(workers, [line(f"late {n}", host=f"host_{n % 30}", level="warn") for n in range(150)])
    metrics = await everywhere(workers, [sample("load", number) for number in range(40)])
    before = await sources(client, LOGS, logs), await sources(client, METRICS, metrics)
    assert [len(each) for each in before] == [150, 40]

    code, [found] = await migrate(workers, "plan")
    assert code == 8
    assert {each["index"]: each["state"] for each in found["indices"]} == {
        f"{LOGS}-g1": "differs",
        f"{METRICS}-g1": "unknown",
    }
    assert found["indices"][0]["changes"] == [{"member": "event.data.level", "was": "", "now": "keyword"}]
    assert {"member": "event.data.unit", "was": "", "now": "keyword"} in found["indices"][1]["changes"]
    assert await warnings(workers) == 0

    # One who began with the logs was interrupted: whoever comes next waits for that run, and goes on with the others.
    begun = await console.apply(await console.plan(**REBUILD, rate=0.01))
    await console.in_state(begun, "running", bound=LONG)
    await console.change("pause", begun)
    await console.change("rate", begun, rate=50_000.0)
    applying = asyncio.create_task(migrate(workers, "apply", "--reason", "members were added"))
    await console.change("resume", begun)
    code, rows = await applying
    assert code == 0
    assert [row["index"] for row in rows if "step" in row] == [LOGS, METRICS, None]

    assert await warnings(workers) == 150
    assert (await sources(client, LOGS, logs), await sources(client, METRICS, metrics)) == before
    after = IndexMappings.model_validate(await console.ask("mappings", {"periods": ["2026", "2026-11"]}))
    assert {each.index: (each.state, each.rebuild) for each in after.indices} == {
        f"{LOGS}-g2": ("current", "swapped"),
        f"{METRICS}-g2": ("current", "swapped"),
    }
    code, dropped = await migrate(workers, "drop")
    assert (code, [each["state"] for each in dropped]) == (0, ["dropped", "dropped"])
    assert not await client.indices.exists(index=f"{LOGS}-g1,{METRICS}-g1")


async def warnings(rig: Rig) -> int:
    """Lines that a search by level finds."""
    question = {"datasets": ["logs"], "filters": [{"field": "level", "op": "eq", "value": "warn"}]}
    dashboard = await rig.broker("dashboard")
    found: int = (await ask(dashboard, "search", "count", question, timeout=LONG))["total"]
    await dashboard.drain()
    return found
