"""Requests of every form at the real Elasticsearch: nothing but allow-listed queries to the caller's own indices gets
there, and it takes every request that is valid."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Collection, Iterator, Sequence
from typing import Any

import orjson
import pytest
from elasticsearch import AsyncElasticsearch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.consume import Done
from penstock.elasticsearch.templates import event_mapping, score_mapping
from penstock.errors import PenstockError, Refused
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import LoadedModel, LoadedModels, SearchQuery
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.search import cursor, query
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.operations import Operations
from tests.stores.conftest import EPOCHS
from tests.stores.test_indexer_queries import embed
from tests.support import query_strategies as strategies
from tests.support.deliveries import CONTRACTS, event_of, line, sample, score_of

Json = dict[str, Any]
DATASETS = list(CONTRACTS.datasets)
ASKERS = [["logs"], DATASETS]
BOUNDED = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
REFUSALS = ("QUERY_INVALID", "FORBIDDEN", "NOT_FOUND", "MODEL_UNAVAILABLE", "SCORE_INVALID")
SORTED_BY = {"time", "time.ns", "sequence", "_score", "score", "key"}
BODY = {
    "query", "knn", "size", "sort", "_source", "track_total_hits", "highlight", "search_after", "aggs", "collapse",
    "fields",
}  # fmt: skip


class Watched(Elastic):
    """Elasticsearch, and every search that it was asked."""

    def __init__(self, client: AsyncElasticsearch) -> None:
        super().__init__(client)
        self.seen: list[tuple[list[str], Json]] = []

    async def search(self, aliases: Sequence[str], body: Json) -> Json:
        self.seen.append((list(aliases), orjson.loads(orjson.dumps(body))))
        return await super().search(aliases, body)


@pytest.fixture(scope="module")
async def elastic(client: AsyncElasticsearch) -> Watched:
    """Three lines and two samples, scored."""
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    events = [event_of(line(f"password {n}", level="error", pid=n)) for n in range(3)]
    events += [event_of(sample("cpu", n)) for n in range(2)]
    assert set(await indexer.events(events)) == {Done()}
    assert set(await indexer.scores([score_of(event, version=2) for event in events])) == {Done()}
    await client.indices.refresh(index="events-*,scored-*")
    elastic = Watched(client)
    await elastic.look()
    return elastic


@pytest.fixture(scope="module")
def operations(elastic: Watched) -> Operations:
    async def loaded() -> LoadedModels:
        types = ["log.line.v1", "metric.sample.v1"]
        return LoadedModels(models=[LoadedModel(name="lines", version=2, types=types)])

    return Operations(CONTRACTS, elastic, ActiveModels(elastic, loaded), embed)


async def refusal(answer: Awaitable[Any]) -> Refused | None:
    """The refusal that a request meets, if it does."""
    try:
        await answer
    except Refused as refused:
        return refused
    return None


async def taken(answer: Awaitable[Json]) -> Json | None:
    """The answer to a valid request; None for one whose conditions are each allowed, and too many together."""
    try:
        return await answer
    except Refused as refused:
        if "comparisons, more than" not in refused.detail:
            raise
        return None


def caller(datasets: Collection[str]) -> RequestCaller:
    return RequestCaller("ingress", datasets=frozenset(datasets))


@pytest.mark.parametrize("datasets", ASKERS, ids=["one dataset", "all"])
async def test_elasticsearch_takes_every_valid_search(
    operations: Operations, elastic: Watched, datasets: list[str]
) -> None:
    @BOUNDED
    @given(strategies.searches(CONTRACTS, datasets))
    async def asked(body: Json) -> None:
        elastic.seen.clear()
        page = await taken(operations.query(body, caller(datasets)))
        if page is not None:
            assert {hit["dataset"] for hit in page["hits"]} <= set(datasets)
            answered.append(body)
        assert_allowed(elastic.seen, datasets)

    answered: list[Json] = []
    await _run(asked)
    assert len(answered) > BOUNDED.max_examples / 2


@pytest.mark.parametrize("datasets", ASKERS, ids=["one dataset", "all"])
async def test_elasticsearch_takes_every_valid_count(
    operations: Operations, elastic: Watched, datasets: list[str]
) -> None:
    @BOUNDED
    @given(strategies.counts(CONTRACTS, datasets))
    async def asked(body: Json) -> None:
        elastic.seen.clear()
        counts = await taken(operations.count(body, caller(datasets)))
        if counts is not None:
            assert len(counts["buckets"]) <= body.get("size", 20)
            answered.append(body)
        assert_allowed(elastic.seen, datasets)

    answered: list[Json] = []
    await _run(asked)
    assert len(answered) > BOUNDED.max_examples / 2


@pytest.mark.parametrize("operation", ["query", "similar", "anomalies", "count"])
async def test_an_invalid_query_is_refused_before_it_reaches_elasticsearch(
    operations: Operations, elastic: Watched, operation: str
) -> None:
    wild = strategies.spoiled(strategies.searches(CONTRACTS, ["logs"])) | strategies.anything().filter(
        lambda value: isinstance(value, dict)
    )

    @BOUNDED
    @given(wild)
    async def asked(body: Json) -> None:
        elastic.seen.clear()
        refused = await refusal(getattr(operations, operation)(body, caller(["logs"])))
        assert refused is None or refused.code in REFUSALS
        assert refused is None or "the index does not take it" not in refused.detail
        assert_allowed(elastic.seen, ["logs"])

    await _run(asked)


async def test_any_cursor_content_is_answered_or_refused_never_an_internal_error(
    operations: Operations, elastic: Watched
) -> None:
    forms: list[Json] = [{}, {"text": "password"}, {"sort": "anomaly"}, {"text": "password", "boost_anomaly": 1.0}]
    number = st.integers() | st.floats() | st.text(max_size=5) | st.none() | st.just(1e300)
    key = st.sampled_from(["019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355", "", "~"]) | number

    @BOUNDED
    @given(st.sampled_from(forms), st.lists(number | key, max_size=3) | st.tuples(st.integers(0, 1 << 60), key))
    async def asked(body: Json, after: Sequence[Any]) -> None:
        within = body | {"datasets": ["logs"]}
        try:
            text = cursor.write(SearchQuery.read(within), list(after))
        except TypeError:  # a number that no JSON of ours can hold
            return
        refused = await refusal(operations.query(within | {"cursor": text}, caller(["logs"])))
        assert refused is None or (refused.code, refused.pointer) == ("QUERY_INVALID", "/cursor")

    await _run(asked)


HEAVIEST: dict[str, Json] = {
    "words": {"text": " ".join(f"w{n}" for n in range(64)), "types": ["log.line.v1"]},
    "words everywhere": {"text": " ".join(f"w{n}" for n in range(23))},
    "a long phrase": {"text": '"' + "a " * 70 + '"', "types": ["log.line.v1"]},
    "long phrases": {
        "filters": [{"field": "message", "op": "in", "value": ["a " * 16] * 16}] * 3,
        "types": ["log.line.v1"],
    },
    "one long word": {"text": "x" * 1024},
    "another script": {"text": '"' + "字" * 22 + '"'},
    "values": {"filters": [{"field": "host", "op": "in", "value": [f"{n}" * 80 for n in range(256)]}] * 4},
    "networks": {"filters": [{"field": "client.address", "op": "in", "value": ["10.0.0.0/8"] * 256}] * 4},
}


@pytest.mark.parametrize("name", HEAVIEST)
async def test_elasticsearch_takes_the_most_expensive_query_within_the_limits(
    operations: Operations, name: str
) -> None:
    page = await operations.query(HEAVIEST[name], caller(DATASETS))
    assert page["took_ms"] < 8000


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"text": "w " * 60}, "comparisons"),
        ({"text": '"' + "a " * 500 + '"', "types": ["log.line.v1"]}, "comparisons"),
        ({"text": "字" * 500, "types": ["log.line.v1"]}, "comparisons"),
        ({"filters": [{"field": "message", "op": "in", "value": ["a " * 20] * 256}]}, "comparisons"),
        ({"filters": [{"field": "host", "op": "in", "value": ["x"] * 256}] * 5}, "comparisons"),
        ({"filters": [{"field": "host", "op": "in", "value": ["x" * 1024] * 255}] * 2}, "bytes"),
        ({"filters": [{"field": "level", "op": "prefix", "value": "a"}]}, "prefix"),
        ({"filters": [{"field": "level", "op": "prefix", "value": "a" * 257}]}, "prefix"),
        ({"filters": [{"field": "pid", "value": 1e30}]}, "long"),
        ({"filters": [{"field": "@stored_at", "op": "gte", "value": "now-1d"}]}, "date"),
        ({"filters": [{"field": "client.address", "value": "10.0.0.*"}]}, "ip"),
        ({"filters": [{"field": "client.address", "op": "gte", "value": "10.0.0.0/8"}]}, "ip"),
        ({"filters": [{"field": "client.location", "value": "0,0"}]}, "place"),
    ],
)
async def test_what_would_cost_too_much_or_cannot_be_compared_is_refused(
    operations: Operations, body: Json, why: str
) -> None:
    with pytest.raises(Refused, match=why) as refused:
        await operations.query(body, caller(DATASETS))
    assert refused.value.code == "QUERY_INVALID"


@pytest.mark.parametrize("name", ["@key", "@id", "message", "client.location"])
async def test_counting_by_a_field_unique_to_every_event_is_refused(operations: Operations, name: str) -> None:
    with pytest.raises(Refused):
        await operations.count({"by": name}, caller(DATASETS))


async def test_what_does_not_exist_and_what_is_not_granted_look_alike(operations: Operations) -> None:
    for member, there, nowhere in (("datasets", "metrics", "nothing"), ("types", "metric.sample.v1", "no.thing.v1")):
        refusals = []
        for name in (there, nowhere):
            with pytest.raises(PenstockError) as refused:
                await operations.query({member: [name]}, caller(["logs"]))
            refusals.append((refused.value.code, refused.value.detail.replace(name, ""), refused.value.pointer))
        assert refusals[0] == refusals[1]


# --- what may reach Elasticsearch


def assert_allowed(seen: list[tuple[list[str], Json]], datasets: Collection[str]) -> None:
    """Every search names the caller's own indices only, and every part of it is one that we build."""
    names = "|".join(datasets)
    own = re.compile(rf"(events|scored-[a-z][a-z0-9_]*_v[0-9]+)-({names})")
    known = _paths(datasets)
    for aliases, body in seen:
        assert aliases
        assert all(own.fullmatch(alias) for alias in aliases), aliases
        assert body.keys() <= BODY, body.keys()
        assert body["size"] <= 1000
        assert {name for each in body.get("sort", []) for name in each} <= SORTED_BY
        assert len(orjson.dumps(body)) < 1024 * 1024
        if "query" in body:
            _assert_clause(body["query"], known)
            assert query.weight(body["query"]) <= query.MOST_CLAUSES + 2
        if "knn" in body:
            assert body["knn"].keys() == {"field", "query_vector", "k", "num_candidates", "filter", "rescore_vector"}
            assert body["knn"]["num_candidates"] <= 500
            _assert_clause(body["knn"]["filter"], known)
        if "aggs" in body:
            [(_, agg)] = body["aggs"].items()
            [(kind, content)] = agg.items()
            assert kind in ("terms", "composite")
            assert content["size"] <= 1000
            assert kind == "composite" or content["field"] in known


def _assert_clause(clause: Json, known: Collection[str], depth: int = 0) -> None:
    assert depth <= 4
    [(kind, content)] = clause.items()
    match kind:
        case "bool":
            assert content.keys() <= {"must", "filter", "must_not", "should", "minimum_should_match"}
            for group in content.values():
                for inner in group if isinstance(group, list) else []:
                    _assert_clause(inner, known, depth + 1)
        case "exists":
            assert content.keys() == {"field"}
            assert content["field"] in known
        case "multi_match":
            assert content.keys() == {"query", "type", "fields"}
            assert content["type"] == "phrase"
            assert {name.removesuffix(".words") for name in content["fields"]} <= set(known)
        case "ids":
            assert content.keys() == {"values"}
        case _:
            [(path, value)] = content.items()
            assert path in known, path
            assert _is_comparison(kind, value), clause


def _is_comparison(kind: str, value: Any) -> bool:
    match kind:
        case "term" if isinstance(value, dict):  # of a level, which has more than one spelling
            return value.keys() == {"value", "case_insensitive"} and isinstance(value["value"], str)
        case "term" | "match_phrase":
            return not isinstance(value, dict | list)
        case "terms":
            return isinstance(value, list) and len(value) <= 256 and not any(isinstance(v, dict | list) for v in value)
        case "range":
            return bool(value.keys() <= {"gte", "gt", "lte", "lt", "format"})
        case "prefix":
            return bool(value.keys() - {"case_insensitive"} == {"value"} and len(value["value"]) >= 2)
        case "match_phrase_prefix":
            return bool(value.keys() == {"query", "max_expansions"} and value["max_expansions"] <= 50)
    return False


def _paths(datasets: Collection[str]) -> set[str]:
    types = [each for each in CONTRACTS.types.values() if each.dataset in datasets]
    return {path for mapping in (event_mapping(types), score_mapping(types)) for path in _leaves(mapping)}


def _leaves(mapping: Json, prefix: str = "") -> Iterator[str]:
    for name, field in mapping["properties"].items():
        if "properties" in field:
            yield from _leaves(field, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


async def _run(asked: Any) -> None:
    """Hypothesis calls plain functions; each example is awaited on the loop of the stores' clients."""
    loop = asyncio.get_running_loop()
    inner = asked.hypothesis.inner_test

    def plain(*arguments: Any, **named: Any) -> None:
        asyncio.run_coroutine_threadsafe(inner(*arguments, **named), loop).result(60)

    asked.hypothesis.inner_test = plain
    await asyncio.to_thread(asked)
