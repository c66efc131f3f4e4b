"""Scores fit the templates of the contracts: found by vector, by words and by members, and their vectors come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from penstock.contracts import load
from penstock.elasticsearch.templates import templates
from penstock.scoring import vectors
from tests.support.processes import Processes

CONTRACTS = load()
NEAR = [1.0] + [0.0] * (vectors.DIMS - 1)
FAR = [0.0] * (vectors.DIMS - 1) + [1.0]


@pytest.fixture(scope="module")
def index(elasticsearch: Processes) -> Iterator[httpx.Client]:
    """A client of the node with the templates in place."""
    with httpx.Client(base_url=elasticsearch.place.elasticsearch, timeout=60) as client:
        for kind, bodies in templates(CONTRACTS).items():
            for name, body in bodies.items():
                client.put(f"/_{kind}_template/{name}", json=body).raise_for_status()
        yield client


@pytest.mark.parametrize("type", sorted(CONTRACTS.types))
def test_a_score_is_found_by_its_vector_and_members_and_read_back(index: httpx.Client, type: str) -> None:
    dataset = CONTRACTS.types[type].dataset
    for name, vector in (("largest", NEAR), ("smallest", FAR)):
        body = score(type, name, vector)
        index.put(f"/scored-test_v1-{dataset}-2026/_doc/{name}", json=body).raise_for_status()
    index.post(f"/scored-test_v1-{dataset}-2026/_refresh").raise_for_status()

    knn = {"field": "vector", "query_vector": NEAR, "k": 1, "num_candidates": 10}
    nearest = hits(index, dataset, {"knn": {**knn, "filter": {"range": {"score": {"gte": 0.5}}}}})
    assert [hit["_id"] for hit in nearest] == ["largest"]

    by_id = {"query": {"ids": {"values": ["largest"]}}, "_source": {"exclude_vectors": False}}
    [hit] = hits(index, dataset, by_id)
    assert hit["_source"]["vector"] == pytest.approx(NEAR)

    single = index.get(f"/scored-test_v1-{dataset}-2026/_doc/largest?_source_exclude_vectors=false").json()
    assert single["_source"]["vector"] == pytest.approx(NEAR)

    for member, indexed in CONTRACTS.types[type].indexed.items():
        if indexed.kind == "keyword":
            value = hit["_source"]["fields"][member]
            query = {"query": {"term": {f"fields.{member}": value[0] if isinstance(value, list) else value}}}
            assert "largest" in {found["_id"] for found in hits(index, dataset, query)}, member


def hits(index: httpx.Client, dataset: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = index.post(f"/scored-test_v1-{dataset}-2026/_search", json=body).raise_for_status().json()
    found: list[dict[str, Any]] = answer["hits"]["hits"]
    return found


def score(type: str, name: str, vector: list[float]) -> dict[str, Any]:
    """A score of an example, as the scorer sends it."""
    event_type = CONTRACTS.types[type]
    event = json.loads((CONTRACTS.root / "examples" / type / f"{name}.json").read_bytes())
    members = {path: list(values(event["data"], path.split("."))) for path in event_type.indexed}
    return {
        "key": f"019a3f2c-1c0e-8714-9b2e-{name:0<12.12}",
        "type": type,
        "dataset": event_type.dataset,
        "time": "2026-11-01T12:00:00.000Z",
        "time_ms": 1_793_534_400_000,
        "entity": event["subject"],
        "publisher": "example",
        "pp": 7,
        "stream": "EVENTS_HTTP",
        "sequence": 1,
        "stored_at": "2026-11-01T12:00:00.000Z",
        "model": {"name": "test", "version": 1, "schema": "ab12", "digest": "cd34"},
        "score": 0.75,
        "raw": 12.5,
        "pattern": f"the {name} <*> example",
        "pattern_id": "0f",
        "vector": vectors.to_text(vector),
        "fields": {path: found[0] if len(found) == 1 else found for path, found in members.items() if found},
    }


def values(node: Any, names: list[str]) -> Iterator[Any]:
    """The values that a path leads to, arrays stepped through."""
    if isinstance(node, list):
        for each in node:
            yield from values(each, names)
    elif not names:
        yield node
    elif isinstance(node, dict) and names[0] in node:
        yield from values(node[names[0]], names[1:])
