"""Operations over HTTP reach the worker that knows, on behalf of the caller, and its answer or error comes back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.rpc.caller import RequestCaller
from penstock.rpc.client import ask
from penstock.rpc.server import serve
from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress
from tests.support.records import records_of

KEY = "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"


class Fleet:
    """Workers that record the requests they get and reply as the test sets."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], RequestCaller]] = []
        self.answers: dict[str, dict[str, Any] | Exception] = {}

    def operation(self, name: str) -> Any:
        async def answer(request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
            self.asked.append((name, request, caller))
            found = self.answers.get(name, {"hits": []})
            if isinstance(found, Exception):
                raise found
            return found

        return answer


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


@pytest.fixture
async def fleet(rig: Rig) -> AsyncIterator[Fleet]:
    fleet = Fleet()
    running = []
    for identity, service, names in (
        ("indexer", "search", ("query", "similar", "anomalies", "count")),
        ("writer", "store", ("get", "timeline", "audit")),
    ):
        broker = await rig.broker(identity)
        operations = {name: fleet.operation(f"{service}.{name}") for name in names}
        running.append(await serve(broker, service, operations))
        await broker.flush()
    yield fleet
    for responder in running:
        await responder.stop()


async def test_a_search_goes_on_behalf_of_the_caller_with_its_datasets(ingress: Ingress, fleet: Fleet) -> None:
    analyst = ingress.make_key("analyst", datasets=["logs", "cloud"], roles=["reader"])
    fleet.answers["search.query"] = {"hits": [], "total": {"value": 0}}
    filters = [{"field": "level", "op": "in", "value": ["error", "fatal"]}]
    response = await ingress.post("/v1/search", {"text": "disk", "filters": filters, "size": 5}, key=analyst)
    assert (response.status_code, response.json()) == (200, {"hits": [], "total": {"value": 0}})
    [(name, request, caller)] = fleet.asked
    assert (name, caller.identity) == ("search.query", "ingress")
    assert caller.on_behalf is not None
    assert (caller.on_behalf.name, caller.datasets) == ("analyst", frozenset({"logs", "cloud"}))
    assert request == {
        "text": "disk", "filters": filters, "size": 5, "order": "desc", "datasets": ["cloud", "logs"]}  # fmt: skip


async def test_an_api_key_limits_datasets_and_operations(ingress: Ingress, fleet: Fleet) -> None:
    analyst = ingress.make_key("analyst_2", datasets=["logs"], roles=["reader"])
    sender = ingress.make_key("sender_2", types=["*"], datasets=["logs"], roles=["sender"])
    for response in (
        await ingress.post("/v1/search", {"datasets": ["logs", "cloud"]}, key=analyst),
        await ingress.post("/v1/search", {}, key=sender),
        await ingress.get("/v1/anomalies", key=analyst, dataset="cloud"),
        await ingress.get("/v1/tail", key=analyst, dataset="cloud"),
        await ingress.get("/v1/tail", key=sender),
        await ingress.get(f"/v1/events/{KEY}", key=sender),
    ):
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
    assert fleet.asked == []


async def test_a_similar_request_is_passed_on_as_it_is(ingress: Ingress, fleet: Fleet) -> None:
    analyst = ingress.make_key("analyst_3", datasets=["metrics"], roles=["reader"])
    response = await ingress.post("/v1/similar", {"text": "disk full", "size": 3}, key=analyst)
    assert response.status_code == 200
    await ingress.post("/v1/similar", {"key": KEY})
    (first, by_text, caller), (second, by_key, _) = fleet.asked
    assert (first, second) == ("search.similar", "search.similar")
    assert caller.datasets == {"metrics"}
    assert by_text == {"text": "disk full", "size": 3, "one_per_pattern": False, "datasets": ["metrics"]}
    assert by_key["key"] == KEY


@pytest.mark.parametrize("body", [{}, {"key": KEY, "text": "disk full"}, {"vector": "AAAA"}])
async def test_a_similar_request_names_either_an_event_or_a_text(
    ingress: Ingress, fleet: Fleet, body: dict[str, str]
) -> None:
    refused = await ingress.post("/v1/similar", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "QUERY_INVALID")
    assert fleet.asked == []


async def test_query_parameters_become_a_request(ingress: Ingress, fleet: Fleet) -> None:
    await ingress.get("/v1/anomalies", **{"from": "2026-11-01T00:00:00Z", "type": "log.line.v1", "min_score": "0.99"})
    fleet.answers["store.timeline"] = {"entity": "web-1", "entries": []}
    await ingress.get("/v1/timeline", entity="web-1", to="2026-11-02T00:00:00Z", limit="7")
    await ingress.post("/v1/count", {"by": "level"})
    (_, anomalies, _), (_, timeline, _), (_, count, _) = fleet.asked
    assert (anomalies["time"], anomalies["types"]) == ({"from": "2026-11-01T00:00:00Z"}, ["log.line.v1"])
    assert anomalies["min_score"] == 0.99
    assert (timeline["entity"], timeline["limit"]) == ("web-1", 7)
    assert timeline["time"] == {"to": "2026-11-02T00:00:00Z"}
    assert count["by"] == "level"


async def test_an_event_is_read_by_its_key(ingress: Ingress, fleet: Fleet) -> None:
    fleet.answers["store.get"] = {"records": [{"key": KEY, "event": {"id": "1"}}]}
    assert (await ingress.get(f"/v1/events/{KEY}")).json() == {"key": KEY, "event": {"id": "1"}}
    fleet.answers["store.get"] = {"records": [], "missing": [KEY]}
    missing = await ingress.get(f"/v1/events/{KEY}")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    assert (await ingress.get("/v1/events/not-a-key")).status_code == 400
    assert (await ingress.get("/v1/events/" + "x" * 36)).status_code == 400
    assert [request for _, request, _ in fleet.asked] == [{"keys": [KEY]}] * 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"size": 1000}, "/size"),
        ({"sizes": 1}, "/sizes"),
        ({"filters": [{"field": "level", "op": "like", "value": 1}]}, "/filters/0/op"),
        ({"filters": [{"field": "level", "op": "in", "value": 1}]}, "/filters/0"),
        ({"time": {"from": "yesterday"}}, "/time/from"),
        ({"datasets": ["Logs*"]}, "/datasets/0"),
        ({"datasets": ["*,logs"]}, "/datasets/0"),
        ({"types": ["*.log.line.v1"]}, "/types/0"),
        ({"boost_anomaly": "NaN"}, "/boost_anomaly"),
    ],
)
async def test_an_invalid_request_names_the_member(ingress: Ingress, fleet: Fleet, body: Any, pointer: str) -> None:
    response = await ingress.post("/v1/search", body)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["pointer"]) == (400, "QUERY_INVALID", pointer)
    assert fleet.asked == []


async def test_a_body_that_is_not_json_or_too_large_is_a_problem(ingress: Ingress, fleet: Fleet) -> None:
    headers = ingress.headers(content_type="application/json")
    broken = await ingress.client.post("/v1/search", content=b'{"text":', headers=headers)
    large = await ingress.client.post("/v1/search", content=b'{"text":"' + b"x" * 300_000, headers=headers)
    assert (broken.status_code, broken.json()["code"]) == (400, "JSON_INVALID")
    assert (large.status_code, large.json()["code"]) == (413, "REQUEST_TOO_LARGE")


async def test_a_workers_error_comes_back_as_it_is(ingress: Ingress, fleet: Fleet) -> None:
    fleet.answers["search.query"] = Unavailable("STORE_UNAVAILABLE", "no node", retry_after=7)
    away = await ingress.post("/v1/search", {})
    assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (503, "STORE_UNAVAILABLE", "7")
    fleet.answers["search.query"] = Refused("QUERY_INVALID", "the cursor is of another request", pointer="/cursor")
    wrong = await ingress.post("/v1/search", {})
    assert (wrong.status_code, wrong.json()["pointer"]) == (400, "/cursor")


async def test_without_a_worker_the_answer_is_quick_and_says_so(ingress: Ingress) -> None:
    response = await ingress.post("/v1/search", {})
    assert (response.status_code, response.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert response.elapsed.total_seconds() < 2


async def test_every_request_is_on_the_audit_trail_without_its_content(
    ingress: Ingress, fleet: Fleet, rig: Rig
) -> None:
    first = await rig.next_sequence("AUDIT")
    for text, filters in (("disk full", []), ("other words", []), ("x", [{"field": "level", "value": "secret"}])):
        await ingress.post("/v1/search", {"text": text, "filters": filters, "datasets": ["logs"]})
    await ingress.get(f"/v1/events/{KEY}")
    assert (await ingress.post("/v1/search", {"size": 0})).status_code == 400
    messages = await rig.stored("AUDIT", first)
    assert {message.subject for message in messages} == {"audit.ingress.query"}
    records = [record.value for record in records_of(messages)]
    assert [record["operation"] for record in records] == ["search.query"] * 3 + ["store.get"]
    assert {record["actor"] for record in records} == {"shop"}
    assert records[0]["datasets"] == ["logs"]
    assert timestamps.parse(records[0]["time"]) > 0
    assert records[0]["fingerprint"] == records[1]["fingerprint"] != records[2]["fingerprint"]
    assert not any(word in message.data for message in messages for word in (b"disk", b"secret", KEY.encode()))


async def test_the_audit_trail_says_how_much_came_back_and_how_long_it_took(
    ingress: Ingress, fleet: Fleet, rig: Rig
) -> None:
    first = await rig.next_sequence("AUDIT")
    fleet.answers["store.get"] = {"records": [{"key": KEY, "event": {"type": "log.line.v1"}}]}
    fleet.answers["search.query"] = Unavailable("STORE_UNAVAILABLE", "no node", retry_after=7)
    await ingress.get(f"/v1/events/{KEY}")
    await ingress.post("/v1/search", {"datasets": ["logs"]})
    fleet.answers["search.query"] = {"hits": [{}, {}]}
    dashboard = await rig.broker("dashboard")
    await ask(dashboard, "search", "query", {"datasets": ["metrics"], "text": "no word of this"})
    get, search, direct = [record.value for record in records_of(await rig.stored("AUDIT", first))]
    assert (get["actor"], get["operation"], get["datasets"], get["count"]) == ("shop", "store.get", ["logs"], 1)
    assert (search["code"], search["datasets"], "count" in search) == ("STORE_UNAVAILABLE", ["logs"], False)
    assert (direct["actor"], direct["through"], direct["datasets"]) == ("dashboard", "indexer", ["metrics"])
    assert (direct["operation"], direct["count"]) == ("search.query", 2)
    assert all(record["milliseconds"] > 0 for record in (get, search, direct))


async def test_only_a_role_that_may_read_the_audit_trail_reads_it_over_http(ingress: Ingress, fleet: Fleet) -> None:
    reader = ingress.make_key("curious", datasets=["*"], roles=["reader", "operator"])
    refused = await ingress.get("/v1/audit", key=reader)
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert fleet.asked == []
    fleet.answers["store.audit"] = {"records": []}
    parameters: dict[str, Any] = {"identity": "billing", "action": "revoke", "from": "2026-11-01T00:00:00Z", "limit": 7}
    found = await ingress.get("/v1/audit", key=ingress.make_key("checker", roles=["auditor"]), **parameters)
    assert (found.status_code, found.json()) == (200, {"records": []})
    [(_, request, caller)] = fleet.asked
    assert request == {
        "identity": "billing",
        "action": "revoke",
        "time": {"from": "2026-11-01T00:00:00Z"},
        "limit": 7,
    }
    assert caller.roles == {"auditor"}


async def test_the_types_and_the_documentation_are_there(ingress: Ingress) -> None:
    page = (await ingress.get("/v1/types")).json()
    line = next(each for each in page["types"] if each["type"] == "log.line.v1")
    assert (line["dataset"], line["indexed"]["message"]) == ("logs", {"as": "text", "search": True})
    assert "specversion" in page["envelope"]["properties"]
    assert (await ingress.client.get("/docs")).status_code == 200
    paths = (await ingress.client.get("/openapi.json")).json()["paths"]
    assert {"/v1/events", "/v1/search", "/v1/events/{key}", "/v1/tail", "/readyz"} <= paths.keys()


async def test_the_documentation_needs_no_other_host(ingress: Ingress) -> None:
    page = await ingress.client.get("/docs")
    references = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/start.js"} <= set(references)
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for reference in references:
        if reference.startswith("data:"):
            continue
        asset = await ingress.client.get(f"/{reference}")
        assert asset.status_code == 200, reference
        assert len(asset.content) > 100
    start = (await ingress.client.get("/docs/start.js")).text
    assert 'url: "openapi.json"' in start
    assert "http" not in start
    styles = (await ingress.client.get("/docs/swagger-ui.css")).text
    assert set(re.findall(r"url\(\s*['\"]?([^'\"]{5})", styles)) <= {"data:"}
    assert "@import" not in styles
    assert (await ingress.client.get("/redoc")).status_code == 404
