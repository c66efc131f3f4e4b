"""401 and 403 on every path that there is: a problem with a code, and a challenge as RFC 6750 has it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.broker_rig import Rig
from tests.support.ingress import STRUCTURED, Ingress, event

OPEN = {"/livez", "/readyz"}
REALM = 'Bearer realm="penstock"'
KEY = "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"
# What a path needs so that the request itself is good.
PARAMS = {"/v1/timeline": {"entity": "web-1"}}
BODIES: dict[str, Any] = {"/v1/similar": {"text": "x"}, "/v1/events": event("r-1")}


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


async def answers(ingress: Ingress, authorization: str | None) -> dict[str, httpx.Response]:
    """The answer of every operation that the OpenAPI document has, to these credentials."""
    paths = (await ingress.client.get("/openapi.json")).json()["paths"]
    found = {}
    for path, operations in paths.items():
        for method in operations if path not in OPEN else ():
            headers = {"authorization": authorization} if authorization is not None else {}
            if path == "/v1/events":
                headers["content-type"] = STRUCTURED
            found[f"{method.upper()} {path}"] = await ingress.client.request(
                method,
                re.sub(r"{.*?}", KEY, path),
                params=PARAMS.get(path),
                json=BODIES.get(path, {}) if method == "post" else None,
                headers=headers,
            )
    assert {"POST /v1/events", "POST /v1/search", "GET /v1/tail", "GET /v1/events/{key}"} <= found.keys()
    return found


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, REALM),
        ("Basic dXNlcjpwYXNz", REALM),
        ("Bearer", REALM),
        ("Bearer pk_00000000_" + "x" * 43, REALM + ', error="invalid_token"'),
        ("Bearer ey.ey.ey", REALM + ', error="invalid_token"'),
    ],
    ids=["nothing", "another scheme", "no key", "unknown key", "a token where no issuer is trusted"],
)
async def test_without_good_credentials_the_answer_is_401(
    ingress: Ingress, authorization: str | None, challenge: str
) -> None:
    for operation, answer in (await answers(ingress, authorization)).items():
        assert answer.status_code == 401, operation
        assert answer.headers["content-type"] == "application/problem+json", operation
        assert answer.headers["www-authenticate"] == challenge, operation
        assert answer.json()["code"] == "UNAUTHENTICATED", operation


async def test_without_a_role_the_answer_is_403_and_says_that_more_is_needed(ingress: Ingress) -> None:
    nobody = ingress.make_key("nobody", roles=[], types=[], datasets=[])
    found = await answers(ingress, f"Bearer {nobody}")
    assert found.pop("GET /v1/whoami").json()["identity"] == "nobody"
    types = found.pop("GET /v1/types").json()
    assert (types["types"], types["datasets"]) == ([], {})  # not refused, but there is nothing for them
    for operation, answer in found.items():
        assert answer.status_code == 403, operation
        assert answer.headers["content-type"] == "application/problem+json", operation
        assert answer.headers["www-authenticate"] == REALM + ', error="insufficient_scope"', operation
        assert answer.json()["code"] == "FORBIDDEN", operation


async def test_events_that_are_all_forbidden_are_a_403_like_any_other(ingress: Ingress) -> None:
    lines = ingress.make_key("lines_only", roles=["sender"], types=["log.line.v1"])
    sample = event("r-2", type="metric.sample.v1", data={"name": "cpu", "value": 1})
    answer = await ingress.send([sample], key=lines)
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert answer.headers["www-authenticate"] == REALM + ', error="insufficient_scope"'
    mixed = await ingress.send([sample, event("r-3")], key=lines)
    assert (mixed.status_code, mixed.headers.get("www-authenticate")) == (207, None)


async def test_a_key_sees_the_types_that_it_may_send_or_read(ingress: Ingress) -> None:
    lines = ingress.make_key("lines_reader", roles=["reader"], datasets=["logs"])
    samples = ingress.make_key("samples_sender", roles=["sender"], types=["metric.sample.v1"])
    for key, type, dataset in ((lines, "log.line.v1", "logs"), (samples, "metric.sample.v1", "metrics")):
        page = (await ingress.get("/v1/types", key=key)).json()
        assert [each["type"] for each in page["types"]] == [type]
        assert list(page["datasets"]) == [dataset]
        assert "specversion" in page["envelope"]["properties"]
