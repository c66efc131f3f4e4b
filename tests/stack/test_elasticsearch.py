"""The local Elasticsearch: it answers, and an acknowledged document survives a kill."""

from __future__ import annotations

import httpx

from tests.support.processes import Processes


def test_an_acknowledged_document_survives_a_kill(elasticsearch: Processes) -> None:
    with httpx.Client(base_url=elasticsearch.place.elasticsearch, timeout=30) as client:
        stored = client.put("/survivors/_doc/1?version=7&version_type=external", json={"text": "still here"})
        assert stored.status_code == 201
    elasticsearch.kill("elasticsearch")
    elasticsearch.restart("elasticsearch")
    with httpx.Client(base_url=elasticsearch.place.elasticsearch, timeout=30) as client:
        found = client.get("/survivors/_doc/1").json()
        client.delete("/survivors").raise_for_status()
    assert found["_version"] == 7
    assert found["_source"] == {"text": "still here"}


def test_elasticsearch_listens_on_loopback_only(elasticsearch: Processes) -> None:
    with httpx.Client(base_url=elasticsearch.place.elasticsearch, timeout=30) as client:
        [node] = client.get("/_nodes/http,transport").json()["nodes"].values()
    for service in ("http", "transport"):
        assert all(address.startswith("127.0.0.1:") for address in node[service]["bound_address"])
