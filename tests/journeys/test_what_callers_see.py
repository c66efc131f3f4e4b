"""Two callers on the same data, one of whom may read logs only: no answer shows that one anything else.

The paths come from the OpenAPI document, so a new one without a case here fails.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.auth import api_keys
from penstock.broker import Broker
from penstock.contracts import load
from penstock.events import key_time_ms, timestamps
from penstock.rpc.client import ask
from tests.support import query_strategies as strategies
from tests.support.full_stack import FullStack
from tests.support.until import until

pytestmark = pytest.mark.timeout(600)

Json = dict[str, Any]
NEVER = "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"
NOT_READ = {"POST /v1/events", "GET /livez", "GET /readyz"}
FUZZ = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class World:
    """One log line and one sample of the same entity; `secret` stands in the sample only."""

    full_stack: FullStack
    client: httpx.AsyncClient
    all: str
    logs: str
    secret: str
    entity: str
    line: str
    hidden: str

    async def ask(self, bearer: str, request: Request) -> httpx.Response:
        return await self.client.request(
            request.method,
            request.path,
            json=request.body,
            params=request.params,
            headers={"authorization": f"Bearer {bearer}"},
        )

    def shows(self, answer: httpx.Response) -> bool:
        """Whether anything of the sample is in an answer."""
        text = answer.text + str(answer.headers)
        return any(mark in text for mark in (self.secret, self.hidden, "metric.sample", "metrics"))


@dataclass
class Request:
    """One request. `refused`: who may not read the sample is refused, and not just shown less; `control`: who may
    sees it in the answer."""

    method: str
    path: str
    body: Json | None = None
    params: Json | None = None
    refused: int = 0
    control: bool = True


@pytest.fixture(scope="module")
async def world(full_stack: FullStack) -> AsyncIterator[World]:
    secret = "zebra" + os.urandom(4).hex()
    callers = {}
    for name, datasets, types in (("sees_all", ["*"], ["*"]), ("sees_logs", ["logs"], ["log.line.v1"])):
        callers[name], _ = api_keys.create(
            full_stack.place.keys, load(), identity=name, datasets=datasets, types=types,
            roles=["sender", "reader"], now_ns=time.time_ns(),
        )  # fmt: skip
    entity = f"shared-{secret[5:]}"
    full_stack.keys["sees_all"] = callers["sees_all"]
    line = envelope(entity, "log.line.v1", {"message": f"plain words about {entity}"})
    sample = envelope(entity, "metric.sample.v1", {"name": secret, "value": 7.0, "unit": secret})
    found = []
    for event in (line, sample):
        answer = await full_stack.post("sees_all", orjson.dumps(event))
        assert answer.status_code == 202, answer.text
        found += [result["key"] for result in answer.json()["results"]]
    del full_stack.keys["sees_all"]
    full_stack.accepted.update(found)
    url = f"http://127.0.0.1:{full_stack.port('ingress_0')}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        world = World(full_stack, client, callers["sees_all"], callers["sees_logs"], secret, entity, *found)
        await until(lambda: _is_scored(world), 120, "both events are found and scored")
        yield world


def envelope(entity: str, type: str, data: Json) -> Json:
    now = timestamps.text(time.time_ns() // 1_000_000 * 1_000_000)
    return {
        "specversion": "1.0", "id": os.urandom(8).hex(), "source": "/seen", "type": type, "subject": entity,
        "time": now, "data": data,
    }  # fmt: skip


async def _is_scored(world: World) -> bool:
    anomalies = await world.ask(world.all, Request("GET", "/v1/anomalies", params={"entity": world.entity}))
    found = await world.ask(world.all, Request("POST", "/v1/search", {"entity": world.entity}))
    return all(
        answer.status_code == 200 and {hit["key"] for hit in answer.json()["hits"]} == {world.line, world.hidden}
        for answer in (anomalies, found)
    )


async def cursor_of(world: World, request: Request) -> str:
    """The cursor that the caller who sees everything gets."""
    answer = await world.ask(world.all, request)
    cursor: str = answer.json()["cursor"]
    return cursor


# Requests whose answers show the sample to whoever may read it.
Ask = Callable[[World], list[Request]]


def searches(world: World) -> list[Request]:
    def search(refused: int = 0, **request: Any) -> Request:
        return Request("POST", "/v1/search", request, refused=refused)

    by_key = {"field": "@key", "value": world.hidden}
    return [
        search(entity=world.entity),
        search(text=world.secret),
        search(text=world.secret, boost_anomaly=5),
        search(entity=world.entity, sort="anomaly"),
        search(entity=world.entity, order="asc", size=100),
        search(filters=[by_key]),
        search(filters=[{"field": "@key", "op": "in", "value": [world.hidden, world.line]}]),
        search(filters=[{"field": "@key", "op": "prefix", "value": world.hidden[:13]}], entity=world.entity),
        search(filters=[{"field": "@type", "op": "prefix", "value": "metric"}], entity=world.entity),
        search(filters=[{"field": "name", "value": world.secret}], refused=400),
        search(entity=world.entity, datasets=["logs", "metrics"], refused=403),
        search(entity=world.entity, datasets=["metrics"], refused=403),
        search(entity=world.entity, types=["metric.sample.v1"], refused=403),
    ]


def similar(world: World) -> list[Request]:
    def near(refused: int = 0, control: bool = True, **request: Any) -> Request:
        return Request("POST", "/v1/similar", request, refused=refused, control=control)

    return [
        near(key=world.hidden, size=100, refused=404),
        near(key=world.hidden, one_per_pattern=True, refused=404),
        near(key=world.hidden, datasets=["logs"], refused=404, control=False),  # logs near the sample
        near(text=world.secret, types=["metric.sample.v1"], refused=403),
        near(text=world.secret, datasets=["metrics"], refused=403),
        near(text=world.secret, time=last_minutes(world), size=100),
        near(key=world.line, time=last_minutes(world), size=100),
    ]


def last_minutes(world: World) -> Json:
    """From the line's own moment on: few events are as new."""
    return {"from": timestamps.text(key_time_ms(world.line) * 1_000_000)}


def anomalies(world: World) -> list[Request]:
    def unusual(refused: int = 0, **params: Any) -> Request:
        return Request("GET", "/v1/anomalies", params=params, refused=refused)

    return [
        unusual(entity=world.entity),
        unusual(entity=world.entity, one_per_pattern=True),
        unusual(entity=world.entity, dataset="metrics", refused=403),
        unusual(entity=world.entity, type="metric.sample.v1", refused=403),
    ]


def timeline(world: World) -> list[Request]:
    def of(refused: int = 0, **params: Any) -> Request:
        return Request("GET", "/v1/timeline", params={"entity": world.entity, **params}, refused=refused)

    return [of(), of(limit=1000), of(dataset="metrics", refused=403), of(dataset=["logs", "metrics"], refused=403)]


def counts(world: World) -> list[Request]:
    def count(refused: int = 0, **request: Any) -> Request:
        return Request("POST", "/v1/count", {"entity": world.entity, **request}, refused=refused)

    return [
        count(by="@type"),
        count(by="name", refused=400),
        count(by="@type", datasets=["metrics"], refused=403),
    ]


CASES: dict[str, Ask] = {
    "GET /v1/events/{key}": lambda world: [Request("GET", f"/v1/events/{world.hidden}", refused=404)],
    "GET /v1/timeline": timeline,
    "POST /v1/search": searches,
    "POST /v1/similar": similar,
    "GET /v1/anomalies": anomalies,
    "POST /v1/count": counts,
    "GET /v1/types": lambda _: [Request("GET", "/v1/types")],
    "GET /v1/whoami": lambda _: [Request("GET", "/v1/whoami")],
}
# The tail has tests of its own below; the audit trail is nobody's who has not a role for it, whatever it reads.
APART = {"GET /v1/tail", "GET /v1/audit"}


async def test_every_path_that_reads_has_a_case_here(world: World) -> None:
    paths = (await world.client.get("/openapi.json")).json()["paths"]
    reads = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} - NOT_READ
    assert reads - APART == CASES.keys()


@pytest.mark.parametrize("path", CASES)
async def test_no_answer_shows_what_its_caller_may_not_read(world: World, path: str) -> None:
    for request in CASES[path](world):
        seen = await world.ask(world.all, request)
        assert seen.status_code == 200, (request, seen.text)
        assert world.shows(seen) or not request.control, f"{request} shows nothing to anybody: it tests nothing"
        answer = await world.ask(world.logs, request)
        assert answer.status_code == (request.refused or 200), (request, answer.text)
        sent = str(request.body) + str(request.params) + request.path
        shown = answer.text
        for mark in (world.secret, world.hidden, "metric.sample.v1", "metrics"):
            if request.refused and mark in sent:  # a refusal may repeat what was asked
                shown = shown.replace(mark, "")
        assert world.secret not in shown, request
        assert world.hidden not in shown, request
        assert "metric" not in shown, request


@pytest.mark.parametrize("dataset", ["logs", "metrics"])
async def test_a_text_finds_events_of_the_one_dataset_that_its_caller_may_read(world: World, dataset: str) -> None:
    key, _ = api_keys.create(
        world.full_stack.place.keys, load(), identity=f"reads_{dataset}", datasets=[dataset], roles=["reader"],
        now_ns=time.time_ns(),
    )  # fmt: skip
    answer = await world.ask(key, Request("POST", "/v1/similar", {"text": world.secret, "size": 5}))
    assert answer.status_code == 200, answer.text
    assert {hit["dataset"] for hit in answer.json()["hits"]} == {dataset}


async def test_a_text_has_the_same_likes_over_http_and_over_nats(world: World) -> None:
    request = {"text": world.secret, "size": 10}
    over_http = await world.ask(world.all, Request("POST", "/v1/similar", request))
    dashboard = await Broker.connect(
        world.full_stack.place.nats, "dashboard", world.full_stack.place.credentials_folder
    )
    try:
        over_nats = await ask(dashboard, "search", "similar", request, timeout=10.0)
    finally:
        await dashboard.drain(1.0)
    assert over_http.status_code == 200, over_http.text
    assert over_http.json()["hits"] == over_nats["hits"]


def alike(world: World) -> list[tuple[Request, Request]]:
    """Requests about what may not be read, and the same about what is not there."""

    def pair(method: str, path: str, body: Json | None = None, params: Json | None = None) -> tuple[Request, Request]:
        text = orjson.dumps([path, body, params]).decode()
        for hidden, nowhere in NAMES:
            text = text.replace(hidden, nowhere)
        other = orjson.loads(text.replace(world.hidden, NEVER))
        return Request(method, path, body, params), Request(method, *other)

    return [
        pair("GET", f"/v1/events/{world.hidden}"),
        pair("POST", "/v1/similar", {"key": world.hidden}),
        pair("POST", "/v1/similar", {"text": "x", "types": ["metric.sample.v1"]}),
        pair("POST", "/v1/search", {"filters": [{"field": "@key", "value": world.hidden}]}),
        pair("POST", "/v1/search", {"datasets": ["metrics"]}),
        pair("GET", "/v1/anomalies", params={"type": "metric.sample.v1"}),
        pair("POST", "/v1/count", {"by": "interval_seconds"}),
        pair("GET", "/v1/timeline", params={"entity": world.entity, "dataset": "metrics"}),
    ]


NAMES = (("metric.sample.v1", "no.where.v1"), ("metrics", "nowhere"), ("interval_seconds", "nothing"))


async def test_what_may_not_be_read_looks_like_what_is_not_there(world: World) -> None:
    for hidden, nowhere in alike(world):
        assert hidden != nowhere
        answers = [await world.ask(world.logs, request) for request in (hidden, nowhere)]
        assert answers[0].status_code == answers[1].status_code, hidden
        assert neutral(world, answers[0]) == neutral(world, answers[1])


def neutral(world: World, answer: httpx.Response) -> Json:
    """An answer without what the request named, its time and its id."""
    names = [world.hidden, NEVER, *(name for pair in NAMES for name in pair)]
    text = re.sub("|".join(map(re.escape, names)), "*", answer.text)
    body: Json = orjson.loads(text)
    return {name: member for name, member in body.items() if name not in ("request_id", "took_ms")}


async def test_a_cursor_of_another_caller_shows_nothing_more(world: World) -> None:
    for body in ({}, {"sort": "anomaly"}, {"text": "plain"}):
        request = Request("POST", "/v1/search", {**body, "entity": world.entity, "size": 1})
        if body.get("text"):
            request.body = {"text": "logged", "size": 1}
        cursor = await cursor_of(world, request)
        taken = await world.ask(world.logs, Request("POST", "/v1/search", {**(request.body or {}), "cursor": cursor}))
        assert (taken.status_code, taken.json()["pointer"]) == (400, "/cursor")
    params = {"entity": world.entity, "limit": 1}
    cursor = await cursor_of(world, Request("GET", "/v1/timeline", params=params))
    taken = await world.ask(world.logs, Request("GET", "/v1/timeline", params={**params, "cursor": cursor}))
    assert taken.status_code == 200  # a place in time, which everybody may name; what it leads to is filtered
    assert {entry["key"] for entry in taken.json()["entries"]} <= {world.line}


async def test_a_cursor_does_not_reveal_further_hits_that_are_not_granted(world: World) -> None:
    page = (
        await world.ask(world.logs, Request("GET", "/v1/timeline", params={"entity": world.entity, "limit": 1}))
    ).json()
    assert [entry["key"] for entry in page["entries"]] == [world.line]
    assert "cursor" not in page
    count = await world.ask(world.logs, Request("POST", "/v1/count", {"entity": world.entity}))
    assert count.json()["total"] == 1
    found = await world.ask(world.logs, Request("POST", "/v1/search", {"entity": world.entity}))
    assert found.json()["total"]["value"] == 1


@pytest.mark.parametrize("resumes", [False, True], ids=["new", "with Last-Event-ID"])
async def test_a_tail_shows_logs_only(world: World, resumes: bool) -> None:
    last = (await world.full_stack.operator.jetstream.stream_info("EVENTS_HTTP")).last_seq
    more = {"last-event-id": f"EVENTS_HTTP:{last}"} if resumes else {}

    async def opened() -> list[Tail]:
        return [await Tail.open(world, key, more) for key in (world.all, world.logs)]

    tails = [] if resumes else await opened()
    world.full_stack.keys["sees_all"] = world.all
    sent = []
    for type, data in (("metric.sample.v1", {"name": world.secret, "value": 1}), ("log.line.v1", {"message": "seen"})):
        answer = await world.full_stack.post("sees_all", orjson.dumps(envelope(world.entity, type, data)))
        sent += [result["key"] for result in answer.json()["results"]]
    del world.full_stack.keys["sees_all"]
    world.full_stack.accepted.update(sent)
    tails = tails or await opened()  # these are shown what was stored since
    assert [await tails[0].next(), await tails[0].next()] == sent
    assert await tails[1].next() == sent[1]
    for tail in tails:
        await tail.close()


async def test_a_tail_ends_when_its_key_is_revoked(world: World) -> None:
    place = world.full_stack.place
    text, made = api_keys.create(
        place.keys, load(), identity="leaves", datasets=["logs"], roles=["reader"], now_ns=time.time_ns()
    )
    tail = await Tail.open(world, text, {"entity": world.entity})
    api_keys.revoke(place.keys, made.id, now_ns=time.time_ns())
    assert await tail.ends(30.0) == "UNAUTHENTICATED"
    await tail.close()


async def test_prefer_wait_answers_about_the_caller_s_own_event_only(world: World) -> None:
    sender, _ = api_keys.create(
        world.full_stack.place.keys, load(), identity="only_sends", types=["*"], roles=["sender"],
        now_ns=time.time_ns(),
    )  # fmt: skip
    event = envelope(world.entity, "log.line.v1", {"message": "of one that only sends"})
    headers = {
        "authorization": f"Bearer {sender}", "content-type": "application/cloudevents+json", "prefer": "wait=30"
    }  # fmt: skip
    answer = await world.client.post("/v1/events", content=orjson.dumps(event), headers=headers)
    [result] = answer.json()["results"]
    world.full_stack.accepted.add(result["key"])
    assert set(result["stages"]) == {"indexed", "stored", "scored"}, answer.text
    allowed = {"key", "ms", "score"}
    for stage in result["stages"].values():
        assert stage.keys() <= allowed
        assert stage["key"] == result["key"]
    assert not world.shows(answer)


# --- whatever is asked


@pytest.mark.parametrize("path", ["/v1/search", "/v1/count", "/v1/similar"])
async def test_any_json_gets_an_answer_or_a_problem_of_its_own(world: World, path: str) -> None:
    known = load()
    valid = strategies.searches(known, ["logs"]) if path != "/v1/count" else strategies.counts(known, ["logs"])

    def ask(client: httpx.Client, body: bytes) -> None:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 500, (body, answer.text)
        assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"
        if answer.status_code == 200:
            assert not world.shows(answer)
        else:
            assert answer.json()["code"] in REFUSALS, answer.text

    def run() -> None:
        headers = {"authorization": f"Bearer {world.logs}"}
        with httpx.Client(base_url=world.client.base_url, headers=headers, timeout=30) as client:

            @FUZZ
            @given(strategies.spoiled(valid) | strategies.anything())
            def any_json(value: Any) -> None:
                ask(client, dumped(value))

            any_json()
            for body in ODD_BODIES:
                ask(client, body)

    await asyncio.to_thread(run)


@pytest.mark.parametrize("path", ["/v1/timeline", "/v1/anomalies"])
async def test_any_parameters_get_an_answer_or_a_problem_of_their_own(world: World, path: str) -> None:
    names = st.sampled_from(
        ["entity", "from", "to", "dataset", "type", "cursor", "limit", "size", "min_score", "one_per_pattern", "model"]
    )
    word = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    value = (
        word | strategies.MOMENT | st.sampled_from(["1", "true", "logs", "metrics", world.line, "nan", "-1", "\x00"])
    )

    def run() -> None:
        headers = {"authorization": f"Bearer {world.logs}"}
        with httpx.Client(base_url=world.client.base_url, headers=headers, timeout=30) as client:

            @FUZZ
            @given(st.dictionaries(names, value, max_size=5))
            def any_parameters(params: dict[str, str]) -> None:
                answer = client.get(path, params={"entity": "shared", **params})
                assert answer.status_code < 500, (params, answer.text)
                assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"

            any_parameters()

    await asyncio.to_thread(run)


def dumped(value: Any) -> bytes:
    """JSON as a careless client writes it: NaN, unpaired surrogates and numbers of any size included."""
    import json

    return json.dumps(value).encode()


REFUSALS = ("QUERY_INVALID", "FORBIDDEN", "JSON_INVALID", "NESTED_TOO_DEEP", "NOT_FOUND")
ODD_BODIES = [
    b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"size":' + b"9" * 5000 + b"}", b"null", b"[]", b'"x"',
    b'{"size":1e999}', b'{"\\ud800":1}', b'{"text":"\\ud800"}', b'{"text":"a","text":"b"}', b"\x00", b"NaN",
]  # fmt: skip


class Tail:
    """A running GET /v1/tail."""

    def __init__(self, stream: Any, response: httpx.Response) -> None:
        self._stream = stream
        self._lines = response.aiter_lines()

    @classmethod
    async def open(cls, world: World, key: str, headers: dict[str, str]) -> Tail:
        entity = {"entity": world.entity}
        stream = world.client.stream(
            "GET", "/v1/tail", params=entity, headers={"authorization": f"Bearer {key}", **headers}
        )
        response = await stream.__aenter__()
        assert response.status_code == 200
        tail = cls(stream, response)
        assert (await tail.read(30.0))[0] == "open"
        return tail

    async def next(self) -> str:
        """The key of the next event."""
        kind, data = await self.read(30.0)
        assert kind == "event"
        return str(data["key"])

    async def ends(self, bound: float) -> str:
        """The code with which the ingress ends it."""
        kind, data = await self.read(bound)
        assert kind == "end"
        return str(data["code"])

    async def close(self) -> None:
        await self._stream.__aexit__(None, None, None)

    async def read(self, bound: float) -> tuple[str, Json]:
        kind = ""
        async with asyncio.timeout(bound):
            async for line in self._lines:
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    return kind, orjson.loads(line[6:])
        raise AssertionError("the stream ended")
