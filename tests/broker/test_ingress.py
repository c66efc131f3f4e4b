"""POST /v1/events against a real server: what is accepted is stored as it was sent, the rest says why not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import orjson
import pytest

from penstock.auth import api_keys
from penstock.broker import Broker, StoredMessage
from penstock.consume import DeadLetters, Done, Lane, Outcome
from penstock.contracts import load
from penstock.events import Checker, Event
from penstock.runtime import Source, make_lane
from penstock.services.operator.__main__ import build as build_operator
from tests.support.blank_package import blank_package
from tests.support.broker_rig import Rig, Working
from tests.support.ingress import BATCHED, Ingress, event, results
from tests.support.until import until
from tests.support.workers import RunningWorker, register

STREAM = "EVENTS_HTTP"


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


@pytest.fixture
async def kept(rig: Rig) -> Any:
    """Gives what the stream has taken since the test began."""
    first = await rig.next_sequence(STREAM)

    async def read() -> list[StoredMessage]:
        return await rig.stored(STREAM, first)

    return read


async def test_one_event_is_stored_byte_for_byte(ingress: Ingress, kept: Any) -> None:
    raw = orjson.dumps(event("a-1"), option=orjson.OPT_INDENT_2)
    response = await ingress.send(raw)
    [message] = await kept()
    assert (response.status_code, results(response)) == (202, [("accepted", "")])
    [result] = response.json()["results"]
    assert (result["stream"], result["sequence"]) == (STREAM, message.sequence)
    assert message.data == raw.replace(b"\n", b" ")
    assert message.subject.endswith(".http.shop.log.line.v1")
    checked = Checker(load()).at_ingress(raw, publisher="shop", door="http", now_ns=time.time_ns())
    assert (result["key"], message.subject) == (checked.key, checked.subject)


async def test_a_batch_is_stored_event_by_event_as_sent(ingress: Ingress, kept: Any) -> None:
    events = [orjson.dumps(event(f"b-{n}", data={"message": 'ä"\\ }{][', "pid": n})) for n in range(300)]
    response = await ingress.send(b" [ " + b" ,\n".join(events) + b"] ", content_type=BATCHED)
    assert response.status_code == 202
    assert [message.data for message in await kept()] == events


async def test_a_batch_without_white_space_is_stored_event_by_event_too(ingress: Ingress, kept: Any) -> None:
    plain = [orjson.dumps(event(f"p-{n}")) for n in range(300)]
    # Where the end of an event seems to stand inside of another one.
    tricky = [orjson.dumps(event(f"t-{n}", data={"message": "},{" * n + '"'})) for n in range(1, 4)]
    for sent in (plain, [*plain[:1], *tricky]):
        response = await ingress.send(b"[" + b",".join(sent) + b"]", content_type=BATCHED)
        assert response.status_code == 202
    assert [message.data for message in await kept()] == [*plain, *tricky]


async def test_binary_mode_is_the_same_event(ingress: Ingress, kept: Any) -> None:
    attributes = {f"ce_{k}": str(v) for k, v in event("c-1", subject="Z%C3%BCrich").items() if k != "data"}
    response = await ingress.send(b'{"message" : "hello"}', content_type="application/json", **attributes)
    [message] = await kept()
    assert response.status_code == 202
    stored = orjson.loads(message.data)
    assert (stored["subject"], stored["data"], stored["datacontenttype"]) == (
        "Zürich",
        {"message": "hello"},
        "application/json",
    )
    assert b'{"message" : "hello"}' in message.data


async def test_each_event_of_a_batch_is_checked_by_itself(ingress: Ingress, kept: Any) -> None:
    batch = [event("d-1"), event("d-2", type="no.such.v1"), 5, event("d-3", data={}), event("d-1"), event("d-4")]
    response = await ingress.send(batch)
    assert response.status_code == 207
    assert results(response) == [
        ("accepted", ""),
        ("refused", "TYPE_UNKNOWN"),
        ("refused", "ENVELOPE_INVALID"),
        ("refused", "SCHEMA_VIOLATION"),
        ("refused", "DUPLICATE_IN_BATCH"),
        ("accepted", ""),
    ]
    assert [orjson.loads(message.data)["id"] for message in await kept()] == ["d-1", "d-4"]
    assert {k: response.json()[k] for k in ("accepted", "refused", "duplicate")} == {
        "accepted": 2, "refused": 4, "duplicate": 0}  # fmt: skip


async def test_an_event_sent_again_is_reported_as_duplicate_and_not_stored(ingress: Ingress, kept: Any) -> None:
    sent = event("e-1")
    first, second = await ingress.send(sent), await ingress.send([sent, event("e-2")])
    assert (second.status_code, results(second)) == (202, [("duplicate", ""), ("accepted", "")])
    assert second.json()["results"][0]["key"] == first.json()["results"][0]["key"]
    assert second.json()["results"][0]["sequence"] == first.json()["results"][0]["sequence"]
    assert len(await kept()) == 2


async def test_an_event_without_a_time_is_stamped(ingress: Ingress, kept: Any) -> None:
    response = await ingress.send([event("f-1", time=None), event("f-2")])
    stamped, plain = response.json()["results"]
    first, _ = await kept()
    assert orjson.loads(first.data)["time"] == stamped["stamped"]
    assert "stamped" not in plain


async def test_an_event_without_a_time_that_is_sent_again_is_the_same_one(ingress: Ingress, kept: Any) -> None:
    same, other = event("f-3", time=None), event("f-3", time=None, data={"message": "other"})
    [first] = (await ingress.send(same)).json()["results"]
    again, _ = (await ingress.send([same, event("f-4")])).json()["results"]
    assert (again["status"], again["key"]) == ("duplicate", first["key"])
    assert (await ingress.send(other)).json()["results"][0]["status"] == "accepted"
    assert len(await kept()) == 3


async def test_a_refused_event_has_its_codes_own_status(ingress: Ingress, kept: Any) -> None:
    large = event("g-1", data={"message": "m", "labels": {str(n): "x" * 1000 for n in range(300)}})
    for body, status, code, pointer in (
        (large, 413, "EVENT_TOO_LARGE", None),
        ([large, event("g-2", type="no.such.v1")], 400, "EVENT_TOO_LARGE", None),
        (event("g-3", time="2999-01-01T00:00:00Z"), 400, "TIME_OUT_OF_BOUNDS", "/time"),
        (b'{"specversion":"1.0","specversion":"1.0"}', 400, "MEMBER_DUPLICATE", "/specversion"),
    ):
        response = await ingress.send(body)
        problem = response.json()
        assert (response.status_code, problem["code"], problem.get("pointer")) == (status, code, pointer)
        assert problem["status"] == status
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["results"]
    assert await kept() == []


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"[" + b"{}," * 5000 + b"{}]", BATCHED, 413, "BATCH_TOO_LONG"),
        (b'[{"a":1}, {"b":tru}]', BATCHED, 400, "JSON_INVALID"),
        (b"{}", BATCHED, 400, "JSON_INVALID"),
        (b"", "application/cloudevents+json", 400, "JSON_INVALID"),
        (b"{}", "application/json", 415, "CONTENT_TYPE_UNKNOWN"),
        (b"{}", "text/plain", 415, "CONTENT_TYPE_UNKNOWN"),
        (b" " * (8 * 1024 * 1024 + 1), BATCHED, 413, "REQUEST_TOO_LARGE"),
    ],
)
async def test_a_bad_request_is_a_problem(
    ingress: Ingress, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = await ingress.send(body, content_type=content_type)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_the_limit_holds_for_a_body_in_chunks(ingress: Ingress) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1024 * 1024

    headers = ingress.headers(content_type=BATCHED)
    response = await ingress.client.post("/v1/events", content=chunks(), headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "REQUEST_TOO_LARGE")


async def test_one_invalid_item_does_not_fail_the_others(ingress: Ingress, kept: Any) -> None:
    bad = orjson.dumps(event("h-1"))[:-1] + b',"x":1e999}'
    surrogate = orjson.dumps(event("h-2")).replace(b"hello", b"\\ud800")
    body = b"[" + b",".join([bad, surrogate, orjson.dumps(event("h-3"))]) + b"]"
    response = await ingress.send(body, content_type=BATCHED)
    assert results(response) == [("refused", "NUMBER_UNFIT"), ("refused", "JSON_INVALID"), ("accepted", "")]
    assert len(await kept()) == 1


async def test_a_request_without_a_valid_key_is_refused(ingress: Ingress, kept: Any) -> None:
    revoked = ingress.make_key("late", types=["*"], roles=["sender"])
    sent = event("i-1")
    assert (await ingress.send(sent, key=revoked)).status_code == 202
    api_keys.revoke(ingress.place.keys, revoked.split("_")[1], now_ns=time.time_ns())

    async def closed() -> httpx.Response | None:
        response = await ingress.send(sent, key=revoked)
        return response if response.status_code == 401 else None

    response = await until(closed, bound=5)
    assert (response.json()["code"], response.headers["www-authenticate"]) == (
        "UNAUTHENTICATED",
        'Bearer realm="penstock", error="invalid_token"',
    )
    for headers in ({}, {"authorization": "Basic x"}, {"authorization": "Bearer pk_00000000_no"}):
        assert (await ingress.client.post("/v1/events", content=b"{}", headers=headers)).status_code == 401
        assert (await ingress.client.get("/v1/types", headers=headers)).status_code == 401
    assert len(await kept()) == 1


async def test_a_caller_sends_only_its_types_under_its_own_name(ingress: Ingress, kept: Any) -> None:
    metrics_only = ingress.make_key("meter", types=["metric.sample.v1"], roles=["sender"])
    sample = event("j-1", type="metric.sample.v1", data={"name": "cpu", "value": 1.5})
    response = await ingress.send([sample, event("j-2")], key=metrics_only)
    assert results(response) == [("accepted", ""), ("refused", "FORBIDDEN")]
    [message] = await kept()
    assert ".http.meter.metric.sample.v1" in message.subject
    reader = ingress.make_key("reader", datasets=["logs"], roles=["reader"])
    assert (await ingress.send(event("j-3"), key=reader)).status_code == 403


async def test_only_a_valid_traceparent_is_kept(ingress: Ingress, kept: Any) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await ingress.send(event("k-1"), traceparent=trace, x_reply_to="_INBOX.ingress.x", nats_msg_id="1")
    await ingress.send(event("k-2"), traceparent="00-nonsense")
    first, second = await kept()
    assert (first.headers, second.headers) == ({"traceparent": trace}, {})


async def test_the_request_id_comes_back(ingress: Ingress) -> None:
    given = await ingress.send(event("l-1"), x_request_id="my-id-7")
    made = await ingress.client.get("/v1/nothing", headers={"x-request-id": "bad id"})
    assert given.headers["x-request-id"] == "my-id-7"
    assert (made.status_code, made.json()["code"]) == (404, "PATH_UNKNOWN")
    assert made.headers["x-request-id"] == made.json()["request_id"] != "bad id"


def _stage(broker: Broker, stage: str, consumer: str) -> Lane:
    checker = Checker(load())

    async def handle(batch: list[Event]) -> list[Outcome]:
        return [Done({"stage": stage, "key": each.key}) for each in batch]

    source = Source(stream=STREAM, consumer=consumer, decode=checker.delivered, handle=handle)
    return make_lane(broker, source, DeadLetters(broker, broker.identity))


@pytest.fixture
def workers() -> list[tuple[str, str, str]]:
    lane = (
        Checker(load()).at_ingress(orjson.dumps(event("x")), publisher="shop", door="http", now_ns=time.time_ns()).pp
        // 8
    )
    return [("indexed", "indexer", "indexer"), ("stored", "writer", "writer"), ("scored", "scorer", f"scorer_{lane}")]


async def test_prefer_wait_says_which_workers_answered(ingress: Ingress, rig: Rig, workers: Any) -> None:
    async with AsyncExitStack() as running:
        for stage, identity, consumer in workers:
            await running.enter_async_context(Working(_stage(await rig.broker(identity), stage, consumer)))
        response = await ingress.send([event("m-1"), event("m-2"), {}], prefer="respond-async, wait=20")
    assert (response.status_code, response.headers["preference-applied"]) == (207, "wait=20")
    for result in response.json()["results"][:2]:
        assert {stage: answer["key"] for stage, answer in result["stages"].items()} == {
            "indexed": result["key"], "stored": result["key"], "scored": result["key"]}  # fmt: skip
        assert all(answer["ms"] > 0 for answer in result["stages"].values())


async def test_prefer_wait_ends_in_time_with_what_there_is(ingress: Ingress, rig: Rig, workers: Any) -> None:
    stage, identity, consumer = workers[0]
    async with Working(_stage(await rig.broker(identity), stage, consumer)):
        response = await ingress.send(event("n-1"), prefer="wait=1")
    assert response.status_code == 202
    assert list(response.json()["results"][0]["stages"]) == ["indexed"]


async def test_prefer_wait_does_not_wait_for_scores_while_no_model_is_active(
    ingress: Ingress, rig: Rig, workers: Any
) -> None:
    async with AsyncExitStack() as running:
        for stage, identity, consumer in workers[:2]:
            await running.enter_async_context(Working(_stage(await rig.broker(identity), stage, consumer)))
        await running.enter_async_context(RunningWorker(rig, "operator", build_operator))
        began = time.monotonic()
        answers = await asyncio.gather(*(ingress.send(event(f"w-{n}"), prefer="wait=30") for n in range(3)))
        assert time.monotonic() - began < 15
        for answer in answers:
            body = answer.json()
            assert (answer.status_code, body["unscored"]["code"]) == (202, "MODEL_UNAVAILABLE")
            assert "penstock model train --activate" in body["unscored"]["detail"]
            assert set(body["results"][0]["stages"]) == {"indexed", "stored"}
        assert "unscored" not in (await ingress.send(event("w-3"))).json()
        await register(rig, blank_package())

        async def waits() -> bool:  # for the score, which nobody gives here
            return "unscored" not in (await ingress.send(event(f"w-{time.time_ns()}"), prefer="wait=1")).json()

        await until(waits)


async def test_when_all_workers_answered_the_status_is_200(ingress: Ingress, rig: Rig, workers: Any) -> None:
    async with AsyncExitStack() as running:
        for stage, identity, consumer in workers:
            await running.enter_async_context(Working(_stage(await rig.broker(identity), stage, consumer)))
        assert (await ingress.send(event("o-1"), prefer="wait=20")).status_code == 200


async def test_the_ingress_reports_readiness_durability_and_metrics(ingress: Ingress) -> None:
    state = await ingress.readiness()
    assert (state["ready"], state["reasons"], state["durable"]) == (True, [], True)
    response = await ingress.send(event("p-1"))
    assert "penstock-durable" not in response.headers
    assert "durable" not in response.json()
    text = (await ingress.client.get("/metrics")).text
    assert 'penstock_events_received_total{status="accepted"}' in text


async def test_memory_stays_bounded_under_large_requests(ingress: Ingress) -> None:
    message = "x" * 40_000
    bodies = [
        orjson.dumps([event(f"q-{r}-{n}", data={"message": message}) for n in range(200)]) for r in range(12)
    ]  # 8 MB each
    keys = [ingress.make_key(f"large_{n}", types=["*"], roles=["sender"]) for n in range(3)]  # a share for each
    responses = await asyncio.gather(
        *(ingress.send(body, key=keys[n % 3], content_type=BATCHED) for n, body in enumerate(bodies))
    )
    assert {response.status_code for response in responses} <= {202, 429, 503}
    assert any(response.status_code == 202 for response in responses)
    for response in responses:
        if response.status_code != 202:
            assert int(response.headers["retry-after"]) >= 1
    assert ingress.peak_memory() < 150 * 1024 * 1024
