"""What a newcomer gets wrong over HTTP: each mistake has a sentence of its own and a next step, in plain words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.broker_rig import Rig
from tests.support.ingress import BATCHED, STRUCTURED, Ingress, event
from tests.support.sentences import MACHINE

JSON = "application/json"
BODIES = (b"", b"{", b"[]", b"3", b'"x"', b"\xff", b'{"no_member": 1}', b'{"size": "many"}', b"[" * 2000, b"nan")
TYPES = (None, JSON, "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded", BATCHED)
QUERIES = ({"no_member": "1"}, {"limit": "many"}, {"from": "x"}, {"size": "0", "dataset": "A B"}, {"entity": ""})


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


async def operations(ingress: Ingress) -> list[tuple[str, str]]:
    """Method and path of every operation that the OpenAPI document has, but those that never refuse."""
    paths = (await ingress.client.get("/openapi.json")).json()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [each for each in found if each[1] not in ("/livez", "/readyz", "/v1/tail")]


def must_speak_to_people(answer: httpx.Response) -> None:
    problem = answer.json()
    said = f"{answer.request.method} {answer.request.url}: {problem}"
    assert answer.headers["content-type"] == "application/problem+json", said
    assert problem["code"] not in ("INTERNAL", "SERVICE_UNAVAILABLE"), said
    assert problem["next_step"], said
    for sentence in (problem["title"], problem["detail"], problem["next_step"]):
        assert not MACHINE.search(sentence), said
    for result in problem.get("results", ()):
        assert not MACHINE.search(result["detail"]), said


async def test_every_operation_refuses_malformed_input_in_words(ingress: Ingress) -> None:
    swept = 0
    for method, path in await operations(ingress):
        path = re.sub(r"{.*?}", "no-key", path)
        sent: list[dict[str, Any]] = [{"params": query} for query in QUERIES]
        if method == "POST":
            sent = [{"content": body, "headers": {"content-type": kind}} for body in BODIES for kind in TYPES if kind]
            sent += [{"content": body} for body in BODIES]
        for each in sent:
            headers = ingress.headers() | each.pop("headers", {})
            answer = await ingress.client.request(method, path, headers=headers, **each)
            if answer.status_code >= 400 and answer.json()["code"] != "SERVICE_UNAVAILABLE":  # good, but no worker here
                swept += 1
                must_speak_to_people(answer)
    assert swept > 200


async def test_each_mistake_has_its_own_sentence_and_next_step(ingress: Ingress) -> None:
    nobody = ingress.make_key("nobody", roles=[], types=[], datasets=[])
    good = event("s-1")
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({"url": "/v1/serch"}, 404, "PATH_UNKNOWN", "did you mean /v1/search?"),
        ({"method": "POST", "url": "/v1/search/"}, 404, "PATH_UNKNOWN", "did you mean /v1/search?"),
        ({"url": "/V1/events"}, 404, "PATH_UNKNOWN", "there is no path /V1/events; did you mean /v1/events?"),
        ({"method": "POST", "url": "/events", "json": good}, 404, "PATH_UNKNOWN", "did you mean /v1/events?"),
        ({"url": "/v1/events"}, 405, "METHOD_UNKNOWN", "/v1/events does not take GET, but POST"),
        ({"url": "/v1/search"}, 405, "METHOD_UNKNOWN", "/v1/search does not take GET, but POST"),
        ({"method": "DELETE", "url": "/v1/events/x"}, 405, "METHOD_UNKNOWN", "does not take DELETE, but GET"),
        ({"method": "POST", "url": "/v1/search"}, 400, "JSON_INVALID", "the body is empty"),
        ({"method": "POST", "url": "/v1/search", "content": b"{}"}, 415, "CONTENT_TYPE_UNKNOWN", "no Content-Type"),
        ({"method": "POST", "url": "/v1/events", "content": b"{}"}, 415, "CONTENT_TYPE_UNKNOWN", "no Content-Type"),
        ({"method": "POST", "url": "/v1/events", "content": b"", "type": STRUCTURED}, 400, "JSON_INVALID",
         "the body is empty; send an event"),
        ({"method": "POST", "url": "/v1/events", "json": good, "type": "application/x-www-form-urlencoded"}, 415,
         "CONTENT_TYPE_UNKNOWN", "the Content-Type is application/x-www-form-urlencoded; send one event as"),
        ({"url": "/v1/types", "key": "pk_00000000_" + "x" * 43}, 401, "UNAUTHENTICATED", "the API key is unknown"),
        ({"url": "/v1/types", "key": "secret"}, 401, "UNAUTHENTICATED", "not an API key"),
        ({"url": "/v1/types", "key": ""}, 401, "UNAUTHENTICATED", "is its variable empty?"),
        ({"method": "POST", "url": "/v1/events", "json": good, "type": STRUCTURED, "key": nobody}, 403, "FORBIDDEN",
         "nobody has no roles, and may not send events"),
        ({"url": "/v1/tail", "key": nobody}, 403, "FORBIDDEN", "nobody has no roles, and may not follow events"),
    ]  # fmt: skip
    for request, status, code, words in cases:
        headers = {"authorization": f"Bearer {request.pop('key', ingress.key)}".strip()}
        if "type" in request:
            headers["content-type"] = request.pop("type")
        answer = await ingress.client.request(request.pop("method", "GET"), headers=headers, **request)
        said = answer.text
        assert (answer.status_code, answer.json()["code"]) == (status, code), said
        assert words in answer.json()["detail"], said
        must_speak_to_people(answer)
        if status == 405:
            assert answer.headers["allow"] == answer.json()["detail"].rpartition("but ")[2]
