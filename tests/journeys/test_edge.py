"""Client → edge → two ingress processes → stream: nothing is lost when one of them is killed or the edge reloads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from penstock.auth import api_keys
from penstock.auth.principal import person
from penstock.broker import StoredMessage
from penstock.contracts import load
from penstock.contracts.subjects import parse_event
from penstock.events import Checker
from penstock.services.edge import running
from penstock.stack import fleet, nats, process, status, up
from penstock.stack import haproxy as haproxy_server
from tests.support.broker_rig import Rig, conf
from tests.support.edge import Edge, trusting
from tests.support.ingress import STRUCTURED, event
from tests.support.mint import ISSUER, Mint
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes
from tests.support.until import BOUND, until

STREAM = "EVENTS_HTTP"
CLIENTS = 8


@pytest.fixture(scope="module")
async def site(place_factory: PlaceFactory, haproxy: None) -> AsyncIterator[tuple[Rig, Mint, str]]:
    """NATS, two ingress processes that believe an issuer, and a key."""
    made, mint = trusting(place_factory.make("edge-journey"))
    place = made.model_copy(update={"fleet": {"ingress": 2}})
    await asyncio.to_thread(lambda: nats.wait_ready(place, nats.start(place, conf(place))))
    rig = await Rig(Processes(place)).open()
    for number in range(2):
        await asyncio.to_thread(up.start_service, place, f"ingress_{number}")
    key, _ = api_keys.create(
        place.keys, load(), identity="shop", types=["*"], datasets=["*"], roles=["sender", "reader"],
        now_ns=time.time_ns(),
    )  # fmt: skip
    yield rig, mint, key
    await rig.close()
    await asyncio.to_thread(up.clean, place)


@pytest.fixture(scope="module")
async def edge(site: tuple[Rig, Mint, str]) -> AsyncIterator[Edge]:
    edge = await Edge(site[0].place).start()
    yield edge
    await edge.close()


@pytest.fixture
def rig(site: tuple[Rig, Mint, str]) -> Rig:
    return site[0]


@pytest.fixture
def mint(site: tuple[Rig, Mint, str]) -> Mint:
    return site[1]


@pytest.fixture
def key(site: tuple[Rig, Mint, str]) -> str:
    return site[2]


class Load:
    """Clients that send one event after another on their connections; `answers` by event id."""

    def __init__(self, edge: Edge, key: str, name: str) -> None:
        self._edge = edge
        self._headers = {"authorization": f"Bearer {key}", "content-type": STRUCTURED}
        self._name = name
        self._stop = asyncio.Event()
        self._progress = asyncio.Condition()
        self.answers: dict[str, int | str] = {}
        self.keys: dict[str, str] = {}

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
        await self.more()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        async with asyncio.timeout(BOUND):
            await asyncio.gather(*self._tasks)

    async def more(self, count: int = 200) -> None:
        """Waits for so many more answers."""
        async with self._progress, asyncio.timeout(BOUND):
            wanted = len(self.answers) + count
            await self._progress.wait_for(lambda: len(self.answers) >= wanted)

    async def _client(self, number: int) -> None:
        async with self._edge.new_client() as client:
            sent = 0
            while not self._stop.is_set():
                id = f"{self._name}-{number}-{sent}"
                sent += 1
                # Without a time: sent to a second ingress it must not become another event.
                body = orjson.dumps(event(id, subject=f"entity-{sent % 50}", time=None))
                try:
                    answer = await client.post("/v1/events", content=body, headers=self._headers)
                    outcome: int | str = answer.status_code
                    if outcome == 202:
                        self.keys[id] = answer.json()["results"][0]["key"]
                except httpx.TransportError as error:
                    outcome = repr(error)
                async with self._progress:
                    self.answers[id] = outcome
                    self._progress.notify_all()

    @property
    def failed(self) -> dict[str, int | str]:
        return {id: outcome for id, outcome in self.answers.items() if outcome != 202}


def keys_of(stored: list[StoredMessage]) -> dict[str, set[str]]:
    """By event id: the keys under which the stream holds it."""
    checker = Checker(load())
    found: dict[str, set[str]] = {}
    for message in stored:
        raw, value = checker.parse(message.data)
        checked = checker.accept(raw, value, publisher="shop", door="http", now_ns=time.time_ns())
        found.setdefault(value["id"], set()).add(checked.key)
    return found


async def test_a_killed_ingress_fails_no_request_and_duplicates_no_event(edge: Edge, rig: Rig, key: str) -> None:
    first = await rig.next_sequence(STREAM)
    async with Load(edge, key, "kill") as load:
        for name in ("ingress_0", "ingress_1"):
            await asyncio.to_thread(rig.processes.kill, name)
            await load.more()
            await asyncio.to_thread(rig.processes.restart, name)
            await edge.sees(name)  # before that the other one is all there is
            await load.more()
    assert load.failed == {}
    stored = keys_of(await rig.stored(STREAM, first))
    assert stored == {id: {key} for id, key in load.keys.items()}


async def test_a_stopping_ingress_fails_no_request(edge: Edge, rig: Rig, key: str) -> None:
    async with Load(edge, key, "stop") as load:
        await asyncio.to_thread(process.stop, rig.place, "ingress_0")
        await load.more()
        await asyncio.to_thread(rig.processes.restart, "ingress_0")
        await load.more()
    assert load.failed == {}


async def test_a_reload_fails_no_request(edge: Edge, key: str) -> None:
    async with Load(edge, key, "reload") as load:
        processes = []
        for _ in range(3):
            processes.append(await edge.reload())
            await load.more()
    assert load.failed == {}
    assert len(set(processes)) == 3


async def test_requests_are_balanced_over_the_ingress_processes(edge: Edge, key: str) -> None:
    names = set()
    for _ in range(4):
        answer = await edge.anew(key)
        names.add((await edge.logged(answer.headers["x-request-id"]))["server"])
    assert names == {"ingress_0", "ingress_1"}


async def test_another_ingress_is_found_when_the_stack_goes_up_again(edge: Edge, rig: Rig) -> None:
    more = rig.place.model_copy(update={"fleet": {"ingress": 3}})
    before = running.serving(rig.place)
    try:
        await asyncio.to_thread(haproxy_server.start, more)
        found = await edge.ask("show servers state ingress")
        assert "ingress_2" in found
        assert running.serving(rig.place) != before
    finally:
        await asyncio.to_thread(haproxy_server.start, rig.place)
    assert "ingress_2" not in await edge.ask("show servers state ingress")
    again = running.serving(rig.place)
    await asyncio.to_thread(haproxy_server.start, rig.place)
    assert running.serving(rig.place) == again


async def test_a_tail_goes_on_over_a_reload_and_then_lets_the_old_process_end(edge: Edge, rig: Rig, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    old = running.serving(rig.place)
    assert old
    await edge.client.aclose()  # its connections would stay with the old process for as long as they are kept
    edge.client = edge.new_client()
    async with edge.new_client() as client, client.stream("GET", "/v1/tail", headers=headers) as tail:
        lines = tail.aiter_lines()

        async def read_to(text: str) -> None:
            async with asyncio.timeout(BOUND):
                while text not in await anext(lines):
                    pass

        await read_to("event: open")
        assert await edge.reload() != old
        async with edge.new_client() as other:
            sent = orjson.dumps(event("tail-1"))
            answer = await other.post("/v1/events", content=sent, headers=headers | {"content-type": STRUCTURED})
        assert answer.status_code == 202
        await read_to('"id":"tail-1"')
    gone = process.Record("old", old, process.start_ticks(old) or 0, (), {}, 0.0)
    assert await asyncio.to_thread(process.wait_gone, gone, BOUND)


async def test_without_an_ingress_the_edge_says_so_at_once(edge: Edge, rig: Rig, key: str) -> None:
    for name in ("ingress_0", "ingress_1"):
        await asyncio.to_thread(rig.processes.kill, name)
    try:

        async def unavailable() -> httpx.Response | None:
            answer = await edge.anew(key)
            return answer if answer.status_code == 503 else None

        answer = await until(unavailable)
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("INGRESS_UNAVAILABLE", "1")
        port = rig.place.local_port("edge_stats")
        assert await until(lambda: asyncio.to_thread(fleet.reasons, port)) == ["no ingress is ready"]
        [part] = [part for part in status.status(rig.place) if part.name == haproxy_server.NAME]
        assert part.state == "unready"
    finally:
        for name in ("ingress_0", "ingress_1"):
            await asyncio.to_thread(rig.processes.restart, name)
        record = process.alive(rig.place, haproxy_server.NAME)
        assert record
        await asyncio.to_thread(haproxy_server.wait_ready, rig.place, record)


async def test_a_persons_event_passes_edge_and_ingress_under_the_persons_name(edge: Edge, rig: Rig, mint: Mint) -> None:
    first = await rig.next_sequence(STREAM)
    token = mint.person("ann@example.test", "penstock-senders", "penstock-readers")
    headers = {"authorization": f"Bearer {token}", "content-type": STRUCTURED}
    answer = await edge.client.post("/v1/events", content=orjson.dumps(event("person-1")), headers=headers)
    assert answer.status_code == 202, answer.text
    [message] = await rig.stored(STREAM, first)
    assert parse_event(message.subject).publisher == person(ISSUER, "ann@example.test")
    assert (await edge.get(token)).status_code == 200


async def test_the_ingress_refuses_what_the_edge_cannot_check(edge: Edge, mint: Mint) -> None:
    token = mint.person("ann@example.test", "penstock-readers", aud=[*"abcdefghi"])
    answer = await edge.get(token)
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_INVALID")
    assert (await edge.logged(answer.headers["x-request-id"]))["server"].startswith("ingress_")


@pytest.mark.parametrize(
    "said",
    [
        {"x-auth-subject": "eve", "x-auth-issuer": "https%3A%2F%2Fid.test%2Frealms%2Fpenstock"},
        {"x-auth-subject": "ann", "x-auth-issuer": "https%3A%2F%2Fother.test"},
        {"x-auth-subject": "ann"},
    ],
)
async def test_the_ingress_refuses_when_edge_and_credentials_disagree(
    rig: Rig, mint: Mint, key: str, said: dict[str, str]
) -> None:
    """As somebody inside the network might send, past the edge."""
    token = mint.person("ann", "penstock-readers")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{rig.place.local_port('ingress')}") as client:
        answers: list[Any] = []
        for credentials in (token, key):
            answer = await client.get("/v1/types", headers=said | {"authorization": f"Bearer {credentials}"})
            answers.append((answer.status_code, answer.json()["code"]))
        agreed = {"x-auth-subject": "ann", "x-auth-issuer": "https%3A%2F%2Fid.test%2Frealms%2Fpenstock"}
        answer = await client.get("/v1/types", headers=agreed | {"authorization": f"Bearer {token}"})
    assert answers == [(401, "UNAUTHENTICATED")] * 2
    assert answer.status_code == 200
