"""Operations and answers: who asks is who the server says, errors keep their code, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from penstock.broker import Broker, Message
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.rpc.caller import Person, RequestCaller
from penstock.rpc.client import ask
from penstock.rpc.server import Responder, serve
from tests.support.broker_rig import Rig
from tests.support.until import BOUND, until

ALICE = Person("alice", frozenset({"logs"}), frozenset({"reader"}))


class Search:
    """Operations of a service, and what they saw."""

    def __init__(self) -> None:
        self.askers: list[RequestCaller] = []
        self.started = 0
        self.release = asyncio.Event()

    async def query(self, request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        self.askers.append(caller)
        return {"echo": request}

    async def similar(self, request: dict[str, Any], _: RequestCaller) -> dict[str, Any]:
        kind = Unavailable if request["retriable"] else Refused
        raise kind("STORE_UNAVAILABLE" if request["retriable"] else "QUERY_INVALID", "why", pointer="/x", retry_after=3)

    async def anomalies(self, _: dict[str, Any], __: RequestCaller) -> dict[str, Any]:
        raise RuntimeError("secret detail")

    async def count(self, request: dict[str, Any], _: RequestCaller) -> dict[str, Any]:
        self.started += 1
        await self.release.wait()
        return {"size": "x" * request.get("size", 0)}


@pytest.fixture
def search() -> Search:
    return Search()


@pytest.fixture
async def responder(rig: Rig, search: Search) -> AsyncIterator[Responder]:
    broker = await rig.broker("indexer")
    operations = {
        "query": search.query,
        "similar": search.similar,
        "anomalies": search.anomalies,
        "count": search.count,
    }
    responder = await serve(broker, "search", operations, concurrency=4)
    await broker.flush()
    yield responder
    search.release.set()
    await responder.stop()
    await broker.drain()


@pytest.fixture
async def ingress(rig: Rig, responder: Responder) -> Broker:
    return await rig.broker("ingress")


async def test_a_reply_comes_back_and_the_responder_knows_the_caller(ingress: Broker, search: Search) -> None:
    answer = await ask(ingress, "search", "query", {"text": "x"}, on_behalf=ALICE, traceparent="00-1")
    assert answer == {"echo": {"text": "x"}}
    (caller,) = search.askers
    assert caller == RequestCaller("ingress", ALICE, frozenset({"logs"}), frozenset({"reader"}), "00-1")
    assert caller.may_read("logs")
    assert not caller.may_read("metrics")


async def test_the_ingress_may_read_nothing_in_its_own_name(ingress: Broker, search: Search) -> None:
    await ask(ingress, "search", "query", {})
    assert not search.askers[0].may_read("logs")


async def test_only_the_ingress_may_speak_for_others(rig: Rig) -> None:
    scorer, indexer = await rig.broker("scorer"), await rig.broker("indexer")
    seen: list[RequestCaller] = []

    async def embed(request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        seen.append(caller)
        return {}

    responder = await serve(scorer, "score", {"embed": embed})
    await scorer.flush()
    with pytest.raises(Refused, match="FORBIDDEN"):
        await ask(indexer, "score", "embed", {}, on_behalf=ALICE)
    await ask(indexer, "score", "embed", {})
    await responder.stop()
    assert [caller.identity for caller in seen] == ["indexer"]
    assert seen[0].on_behalf is None


@pytest.mark.parametrize("retriable", [True, False])
async def test_an_error_keeps_its_code_detail_pointer_and_kind(ingress: Broker, retriable: bool) -> None:
    with pytest.raises(Unavailable if retriable else Refused) as raised:
        await ask(ingress, "search", "similar", {"retriable": retriable})
    error = raised.value
    assert error.code == ("STORE_UNAVAILABLE" if retriable else "QUERY_INVALID")
    assert (error.detail, error.pointer, error.retry_after) == ("why", "/x", 3)


async def test_errors_are_also_in_the_headers_of_adr_32(ingress: Broker) -> None:
    message = await ingress.request("svc.search.similar.ingress", b'{"retriable": true}', timeout=BOUND)
    assert message.headers["Nats-Service-Error-Code"] == "503"
    assert message.headers["Nats-Service-Error"] == "STORE_UNAVAILABLE: why"


async def test_a_defect_is_an_internal_error_without_its_details(ingress: Broker) -> None:
    with pytest.raises(PenstockError, match="INTERNAL") as raised:
        await ask(ingress, "search", "anomalies", {})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]"])
async def test_a_request_that_is_not_an_object_is_refused(ingress: Broker, body: bytes) -> None:
    message = await ingress.request("svc.search.query.ingress", body, timeout=BOUND)
    assert orjson.loads(message.data)["code"] in ("JSON_INVALID", "QUERY_INVALID")


async def test_requests_beyond_the_bound_are_refused_at_once(
    ingress: Broker, responder: Responder, search: Search
) -> None:
    first = [asyncio.create_task(ask(ingress, "search", "count", {})) for _ in range(32)]
    await until(lambda: search.started == 4 and responder.in_progress == 32)
    with pytest.raises(Unavailable, match="OVERLOADED"):
        await ask(ingress, "search", "count", {})
    search.release.set()
    async with asyncio.timeout(BOUND):
        assert len(await asyncio.gather(*first)) == 32


async def test_a_handler_is_cancelled_when_the_caller_s_timeout_ends(
    ingress: Broker, responder: Responder, search: Search
) -> None:
    with pytest.raises(Unavailable, match="TIMED_OUT"):
        await ask(ingress, "search", "count", {}, timeout=0.2)
    await until(lambda: responder.in_progress == 0)
    assert search.started == 1


async def test_an_answer_too_large_for_a_message_says_so(ingress: Broker, search: Search) -> None:
    search.release.set()
    with pytest.raises(Refused, match="ask for less"):
        await ask(ingress, "search", "count", {"size": 1024 * 1024})


async def test_a_service_without_responders_is_unavailable_at_once(rig: Rig) -> None:
    ingress = await rig.broker("ingress")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="SERVICE_UNAVAILABLE"):
        await ask(ingress, "store", "get", {}, timeout=5)
    assert time.monotonic() - started < 1


async def test_no_reply_goes_to_an_inbox_that_is_not_the_caller_s(rig: Rig, ingress: Broker, search: Search) -> None:
    first = await rig.next_sequence("EVENTS_HTTP")
    victim = await rig.broker("writer")
    heard: list[Message] = []
    inbox = victim.inbox()
    await victim.subscribe(inbox, heard.append)
    await victim.flush()
    for reply in ("evt.00.http.victim.log.line.v1", inbox, ""):
        ingress.send("svc.search.query.ingress", b"{}", reply=reply)
    assert await ask(ingress, "search", "query", {"last": True}) == {"echo": {"last": True}}
    await victim.flush()
    assert not heard
    assert len(search.askers) == 1
    assert await rig.next_sequence("EVENTS_HTTP") == first


async def test_replicas_share_the_requests(rig: Rig, ingress: Broker, search: Search) -> None:
    other = Search()
    replica = await serve(await rig.broker("indexer"), "search", {"query": other.query})
    await replica.broker.flush()
    await asyncio.gather(*(ask(ingress, "search", "query", {"n": n}) for n in range(30)))
    await replica.stop()
    assert len(search.askers) + len(other.askers) == 30
    assert search.askers
    assert other.askers


async def test_a_replica_that_stops_answers_what_is_on_its_way_to_it(rig: Rig, ingress: Broker, search: Search) -> None:
    replica = await serve(await rig.broker("indexer"), "search", {"query": Search().query})
    for _ in range(20):
        await replica.broker.flush()
        requests = [asyncio.create_task(ask(ingress, "search", "query", {"n": n})) for n in range(10)]
        await asyncio.sleep(0)  # they are sent, and nobody has read them yet
        await replica.stop()
        async with asyncio.timeout(BOUND):
            assert len(await asyncio.gather(*requests)) == 10
        replica = await serve(replica.broker, "search", {"query": Search().query})
    await replica.stop()
    assert search.askers


async def test_stopping_answers_requests_in_progress(
    rig: Rig, ingress: Broker, responder: Responder, search: Search
) -> None:
    request = asyncio.create_task(ask(ingress, "search", "count", {}))
    await until(lambda: search.started == 1)
    stopping = asyncio.create_task(responder.stop())
    search.release.set()
    async with asyncio.timeout(BOUND):
        assert await request == {"size": ""}
        await stopping
    with pytest.raises(Unavailable, match="SERVICE_UNAVAILABLE"):
        await ask(ingress, "search", "query", {})


async def test_a_request_that_outlasts_the_stop_is_answered_with_an_error(
    ingress: Broker, search: Search, responder: Responder
) -> None:
    """Those that are worked on, and those that wait for their turn: nobody waits for a time-out."""
    requests = [
        asyncio.create_task(ask(ingress, "search", "count", {}, on_behalf=ALICE, timeout=2 * BOUND))
        for _ in range(responder.concurrency + 2)
    ]
    await until(lambda: search.started == responder.concurrency and responder.in_progress == len(requests))
    await responder.stop(0.05)
    await responder.broker.drain()
    async with asyncio.timeout(BOUND):
        errors = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(error, Unavailable) for error in errors)
    assert {(error.code, error.retry_after) for error in errors} == {("SERVICE_UNAVAILABLE", 1)}  # type: ignore[union-attr]
    assert responder.in_progress == 0


async def test_ping_info_and_stats_are_those_of_adr_32(ingress: Broker, responder: Responder) -> None:
    await ask(ingress, "search", "query", {})
    with pytest.raises(Refused):
        await ask(ingress, "search", "similar", {"retriable": False})

    async def survey(subject: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads((await ingress.request(subject, b"", timeout=BOUND)).data)
        return found

    ping = await survey("$SRV.PING")
    assert ping["type"] == "io.nats.micro.v1.ping_response"
    assert (ping["name"], ping["id"]) == ("search", responder.id)
    info = await survey("$SRV.INFO.search")
    assert info["type"] == "io.nats.micro.v1.info_response"
    assert info["endpoints"][0] == {"name": "query", "subject": "svc.search.query.*", "queue_group": "q"}
    stats = await survey(f"$SRV.STATS.search.{responder.id}")
    assert stats["type"] == "io.nats.micro.v1.stats_response"
    by_name = {endpoint["name"]: endpoint for endpoint in stats["endpoints"]}
    assert (by_name["query"]["num_requests"], by_name["query"]["num_errors"]) == (1, 0)
    assert (by_name["similar"]["num_requests"], by_name["similar"]["num_errors"]) == (1, 1)
    assert by_name["similar"]["last_error"] == "QUERY_INVALID"
