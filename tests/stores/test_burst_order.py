"""A burst of one second through the streams and both workers: timelines and searches show it as it was sent."""

from __future__ import annotations

from functools import partial
from typing import Any

from penstock.rpc.client import ask
from tests.support.broker_rig import Rig
from tests.support.deliveries import line
from tests.support.order import all_pages, numbers
from tests.support.rebuilds import everywhere
from tests.support.until import until

STEPS, HOSTS = 60, 2
LONG = 30.0  # seconds; the machine may be busy


async def test_lines_of_one_second_are_shown_as_they_were_sent(sinks: Rig) -> None:
    raws = [line(f"step {n}", host=f"burst_{n % HOSTS}", time="2026-11-01T11:00:00Z") for n in range(STEPS * HOSTS)]
    events = await everywhere(sinks, raws)
    dashboard = await sinks.broker("dashboard")

    async def timeline(request: dict[str, Any]) -> dict[str, Any]:
        return await ask(dashboard, "store", "timeline", request, timeout=LONG)

    async def search(request: dict[str, Any]) -> dict[str, Any]:
        return await ask(dashboard, "search", "query", request, timeout=LONG)

    for host in range(HOSTS):
        own = events[host::HOSTS]
        query = {"entity": f"burst_{host}", "sort": "time", "size": 25}
        await until(partial(_found, search, query), LONG)
        newest_first = [*range(STEPS)][::-1]
        assert (
            numbers(await all_pages(timeline, {"entity": f"burst_{host}", "limit": 25}, "entries"), own) == newest_first
        )
        assert numbers(await all_pages(search, query, "hits"), own) == newest_first
        assert numbers(await all_pages(search, {**query, "order": "asc"}, "hits"), own) == newest_first[::-1]
    await dashboard.drain()


async def _found(search: Any, query: dict[str, Any]) -> bool:
    """Whether the index has been refreshed since."""
    total: int = (await search(query))["total"]["value"]
    return total == STEPS
