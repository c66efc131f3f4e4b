"""The broker away, the stream full, no fsync: the ingress says so, loses nothing and comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from penstock.contracts import load
from penstock.events import Checker
from penstock.provisioning import provision
from penstock.stack import fleet, nats, process, up
from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress, event, results
from tests.support.lax_conf import lax
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes
from tests.support.until import BOUND, until


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


async def ready(ingress: Ingress, expected: bool) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        state = await ingress.readiness()
        return state if state["ready"] is expected else None

    return await until(look)


async def test_while_the_broker_is_away_events_are_refused_until_it_is_back(ingress: Ingress, rig: Rig) -> None:
    await ingress.send(event("a-0"))
    rig.processes.kill("nats")
    state = await ready(ingress, False)
    assert state["reasons"] == ["broker: connection lost"]
    sent = [event("a-1"), {}, event("a-2")]
    away = await ingress.send(sent)
    assert away.status_code == 503
    assert int(away.headers["retry-after"]) >= 1
    assert results(away) == [
        ("unavailable", "BROKER_UNAVAILABLE"),
        ("refused", "ENVELOPE_INVALID"),
        ("unavailable", "BROKER_UNAVAILABLE"),
    ]
    request = await ingress.post("/v1/search", {})
    assert (request.status_code, request.json()["code"]) == (503, "BROKER_UNAVAILABLE")
    await asyncio.to_thread(rig.processes.restart, "nats")
    await ready(ingress, True)
    again = await ingress.send(sent)
    assert results(again)[0] == ("accepted", "")
    assert again.json()["results"][0]["key"] == away.json()["results"][0]["key"]


async def test_what_was_accepted_before_a_kill_is_there_afterwards(ingress: Ingress, rig: Rig) -> None:
    """Senders keep sending while the broker is killed; every event that got a 202 is on the stream."""
    first = await rig.next_sequence("EVENTS_HTTP")
    accepted: set[str] = set()
    killed = asyncio.Event()

    async def sender(name: int) -> None:
        number = 0
        while not killed.is_set():
            response = await ingress.send([event(f"k-{name}-{number}-{n}") for n in range(20)])
            for result in response.json().get("results", []):
                if result["status"] == "accepted":
                    accepted.add(result["key"])
            number += 1

    senders = [asyncio.create_task(sender(name)) for name in range(4)]

    async def enough() -> bool | None:
        return len(accepted) > 500 or None

    await until(enough)
    rig.processes.kill("nats")
    killed.set()
    await asyncio.gather(*senders)
    await asyncio.to_thread(rig.processes.restart, "nats")
    await rig.core.wait_connected(BOUND)
    checker = Checker(load())
    stored = set()
    for message in await rig.stored("EVENTS_HTTP", first):
        parsed = checker.at_ingress(message.data, publisher="shop", door="http", now_ns=message.stored_at_ns)
        stored.add(parsed.key)
    assert accepted <= stored
    await ready(ingress, True)


async def test_a_full_stream_is_a_503_and_makes_the_ingress_unready(ingress: Ingress, rig: Rig) -> None:
    info = await rig.core.jetstream.stream_info("EVENTS_HTTP")
    await rig.core.jetstream.update_stream({**info.config, "max_bytes": info.bytes + 10})
    try:
        full = await ingress.send([event("f-1"), event("f-2")])
        assert (full.status_code, full.json()["code"]) == (503, "STREAM_FULL")
        assert results(full) == [("unavailable", "STREAM_FULL")] * 2
        assert (await ingress.readiness())["reasons"] == ["commit: STREAM_FULL"]
    finally:
        await rig.core.jetstream.update_stream(info.config)
    assert (await ingress.send(event("f-3"))).status_code == 202
    await ready(ingress, True)


async def test_without_a_broker_the_ingress_starts_and_waits_for_it(place_factory: PlaceFactory) -> None:
    place = place_factory.make("late-broker")
    conf = nats.fleet_conf(place)
    ingress = Ingress(place)
    child = next(each for each in fleet.children(place) if each.name == "ingress_0")
    process.start(place, child)

    async def answers() -> bool | None:
        try:
            return (await ingress.client.get("/livez")).status_code == 200
        except httpx.TransportError:
            return None

    await until(answers)
    assert (await ingress.readiness())["reasons"] == ["broker: not reached yet"]
    assert (await ingress.send(event("l-1"))).status_code == 503
    nats.wait_ready(place, nats.start(place, conf))
    await provision.apply(place)
    await ready(ingress, True)
    assert (await ingress.send(event("l-1"))).status_code == 202
    await ingress.stop()
    up.clean(place)


async def test_on_a_server_without_fsync_every_answer_says_so(throwaway_nats: Any) -> None:
    running: Processes = throwaway_nats(lax)
    await provision.apply(running.place)
    ingress = await Ingress(running.place).start()
    try:
        state = await ingress.readiness()
        assert state["durable"] is False
        assert state["durability"].startswith("NOT_DURABLE: sync_interval is not `always`")
        for body in (event("n-1"), [event("n-2"), {}], {}):
            response = await ingress.send(body)
            assert (response.headers["penstock-durable"], response.json()["durable"]) == ("no", False)
        log = [orjson.loads(line) for line in running.place.log("ingress_0").read_text().splitlines()]
        assert any(line["message"] == "durability" and line["level"] == "error" for line in log)
    finally:
        await ingress.stop()
