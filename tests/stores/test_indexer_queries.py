"""svc.search.* at the real Elasticsearch: what is found, in which order, and what nobody may see."""

from __future__ import annotations

from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.consume import Done
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.events import Event
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import Embedding, LoadedModel, LoadedModels
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.search.elastic import Elastic
from penstock.services.indexer.search.models import ActiveModels
from penstock.services.indexer.search.operations import Operations
from penstock.services.indexer.search.scope import resolve
from penstock.services.indexer.search.similar import Embed, text_type
from tests.stores.conftest import EPOCHS
from tests.support.deliveries import CONTRACTS, event_of, line, sample, score_of
from tests.support.processes import Processes

ALL = RequestCaller("trainer", datasets=frozenset({"*"}))
LOGS = RequestCaller("ingress", datasets=frozenset({"logs"}))
NOBODY = RequestCaller("ingress")

LINES = [
    line("Failed password for root from 10.0.0.1", time="2026-10-01T10:00:00Z", level="error", service="sshd", pid=7),
    line("Failed password for admin from 10.0.0.2", time="2026-10-01T10:01:00Z", level="error", service="sshd", pid=8),
    line("Accepted password for root", time="2026-10-02T10:00:00Z", level="info", service="sshd", pid=9, host="db_1"),
    line(
        "PacketResponder for blk_42 terminating",
        time="2025-05-01T00:00:00Z",
        level="info",
        service="storage",
        logger="dfs.DataNode$PacketResponder",
    ),
    line("<b>Received</b> blk_43", time="2026-10-03T00:00:00Z", level="warn", service="storage"),
]
SCORES = [0.99, 0.2, 0.5, 0.1, 0.9]
PATTERNS = ["failed", "failed", "accepted", "responder", "received"]


class Corpus:
    """What is stored: five log lines, scored by version 2 (and one by version 1), and three samples."""

    def __init__(self, operations: Operations, events: list[Event], samples: list[Event]) -> None:
        self.operations = operations
        self.events = events
        self.samples = samples
        self.elastic: Elastic

    def numbers(self, page: dict[str, Any]) -> list[int]:
        """Which of the lines a page shows, in its order."""
        keys = [event.key for event in self.events]
        return [keys.index(hit["key"]) for hit in page["hits"]]


@pytest.fixture(scope="module")
async def corpus(client: AsyncElasticsearch) -> Corpus:
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    events = [event_of(raw, sequence=n) for n, raw in enumerate(LINES, 1)]
    samples = [event_of(sample("cpu", n, time=f"2026-10-0{n}T00:00:00Z"), sequence=n) for n in (1, 2, 3)]
    scores = [
        score_of(event, score=score, version=2, pattern_id=pattern, angle=n / 10)
        for n, (event, score, pattern) in enumerate(zip(events, SCORES, PATTERNS, strict=True))
    ]
    assert set(await indexer.events([*events, *samples])) == {Done()}
    assert set(await indexer.scores([*scores, score_of(events[3], score=1.0, version=1, angle=3.0)])) == {Done()}
    await client.indices.refresh(index="events-logs,events-metrics,scored-lines_v1-logs,scored-lines_v2-logs")
    elastic = Elastic(client)
    await elastic.look()
    corpus = Corpus(Operations(CONTRACTS, elastic, ActiveModels(elastic, loaded), embed), events, samples)
    corpus.elastic = elastic
    return corpus


async def loaded() -> LoadedModels:
    """The scorer's answer: version 2 scores log lines."""
    return LoadedModels(models=[LoadedModel(name="lines", version=2, types=["log.line.v1"])])


async def embed(text: str, event_type: str) -> Embedding:
    """The scorer's answer: every text lies where the third line is."""
    return embedding(angle=0.2, version=2)


def embedding(*, angle: float, version: int) -> Embedding:
    """A vector at this angle, made by this version of the model."""
    found = score_of(event_of(LINES[2]), angle=angle)
    vector = found.raw.partition(b'"vector":"')[2].partition(b'"')[0].decode()
    return Embedding.model_validate({"vector": vector, "model": {"name": "lines", "version": version}})


def operations_with(corpus: Corpus, embed: Embed) -> Operations:
    """The same corpus with another scorer."""
    return Operations(CONTRACTS, corpus.elastic, ActiveModels(corpus.elastic, loaded), embed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("password", {0, 1, 2}),
        ("failed password", {0, 1}),
        ("PASSWORD root", {0, 2}),
        ("password -failed", {2}),
        ('"password for root"', {0, 2}),
        ('"root for password"', set()),
        ('password -"for root"', {1}),
        ("10.0.0.2", {1}),
        ("datanode", {3}),
        ("blk_42", {3}),
        ("sshd accepted", {2}),
        ("-password", {3, 4}),
    ],
)
async def test_words_find_what_holds_all_of_them(corpus: Corpus, text: str, found: set[int]) -> None:
    page = await corpus.operations.query({"text": text}, LOGS)
    assert set(corpus.numbers(page)) == found
    assert page["total"] == {"value": len(found), "relation": "eq"}


async def test_a_hit_shows_the_stored_record_and_what_was_found(corpus: Corpus) -> None:
    [hit] = (await corpus.operations.query({"text": "received"}, LOGS))["hits"]
    assert hit["record"]["event"]["data"]["message"] == "<b>Received</b> blk_43"
    assert hit["highlight"]["message"] == ["&lt;b&gt;<em>Received</em>&lt;&#x2F;b&gt; blk_43"]
    assert (hit["type"], hit["dataset"], hit["entity"]) == ("log.line.v1", "logs", "web_1")
    assert hit["score"] > 0


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({"field": "level", "value": "error"}, {0, 1}),
        ({"field": "level", "value": "ERR"}, {0, 1}),
        ({"field": "level", "value": "Warning"}, {4}),
        ({"field": "level", "op": "prefix", "value": "ER"}, {0, 1}),
        ({"field": "level", "op": "in", "value": ["E", "unusual"]}, {0, 1}),
        ({"field": "pid", "value": "7"}, {0}),
        ({"field": "level", "op": "in", "value": ["warn", "info"]}, {2, 3, 4}),
        ({"field": "pid", "op": "gte", "value": 8}, {1, 2}),
        ({"field": "pid", "op": "exists", "value": False}, {3, 4}),
        ({"field": "logger", "op": "exists"}, {3}),
        ({"field": "service", "op": "prefix", "value": "ss"}, {0, 1, 2}),
        ({"field": "message", "value": "password for admin"}, {1}),
        ({"field": "message", "op": "prefix", "value": "accepted pass"}, {2}),
        ({"field": "@publisher", "value": "example"}, {0, 1, 2, 3, 4}),
        ({"field": "@publisher", "value": "exam*"}, set()),
        ({"field": "@type", "op": "in", "value": ["metric.sample.v1"]}, set()),
    ],
)
async def test_filters_compare_indexed_fields(corpus: Corpus, filter: dict[str, Any], found: set[int]) -> None:
    page = await corpus.operations.query({"filters": [filter], "types": ["log.line.v1"]}, LOGS)
    assert set(corpus.numbers(page)) == found


async def test_time_and_entity_narrow(corpus: Corpus) -> None:
    time = {"from": "2026-10-01T10:01:00Z", "to": "2026-10-03T00:00:00Z"}
    assert corpus.numbers(await corpus.operations.query({"time": time}, LOGS)) == [2, 1]
    assert corpus.numbers(await corpus.operations.query({"entity": "db_1"}, LOGS)) == [2]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"order": "asc"},
        {"sort": "relevance", "text": "password"},
        {"sort": "anomaly"},
        {"text": "password", "boost_anomaly": 2.0},
    ],
)
async def test_pages_follow_each_other_without_gap_or_repeat(corpus: Corpus, body: dict[str, Any]) -> None:
    whole = corpus.numbers(await corpus.operations.query(body, LOGS))
    seen: list[int] = []
    more: dict[str, Any] = {}
    while True:
        page = await corpus.operations.query({**body, "size": 2, **more}, LOGS)
        seen += corpus.numbers(page)
        if "cursor" not in page:
            break
        more = {"cursor": page["cursor"]}
    assert seen == whole
    assert len(whole) >= 3


async def test_hits_come_in_the_order_that_is_asked_for(corpus: Corpus) -> None:
    newest = await corpus.operations.query({"types": ["log.line.v1"]}, ALL)
    assert corpus.numbers(newest) == [4, 2, 1, 0, 3]
    unusual = await corpus.operations.query({"sort": "anomaly", "types": ["log.line.v1"]}, ALL)
    assert corpus.numbers(unusual) == [0, 4, 2, 1, 3]
    assert unusual["hits"][0]["anomaly"]["score"] == 0.99


async def test_anomaly_moves_relevant_events_up(corpus: Corpus) -> None:
    body = {"text": "blk_42 OR password"}
    plain = {"text": "password"}
    page = await corpus.operations.query({**plain, "boost_anomaly": 10.0}, LOGS)
    assert corpus.numbers(page) == [0, 2, 1]
    assert page["hits"][0]["highlight"]["message"] == ["Failed <em>password</em> for root from 10.0.0.1"]
    assert [round(hit["anomaly"]["score"], 2) for hit in page["hits"]] == [0.99, 0.5, 0.2]
    assert corpus.numbers(await corpus.operations.query(body, LOGS)) == []


async def test_anomalies_come_by_descending_score_with_their_records(corpus: Corpus) -> None:
    page = await corpus.operations.anomalies({"min_score": 0.2}, LOGS)
    assert corpus.numbers(page) == [0, 4, 2, 1]
    first = page["hits"][0]
    assert first["record"]["event"]["data"]["pid"] == 7
    assert first["anomaly"]["model"]["version"] == 2
    assert first["anomaly"]["pattern"] == "session opened for user <n>"


async def test_anomalies_show_one_event_per_pattern(corpus: Corpus) -> None:
    page = await corpus.operations.anomalies({"one_per_pattern": True}, LOGS)
    assert corpus.numbers(page) == [0, 4, 2, 3]


async def test_anomalies_can_be_filtered(corpus: Corpus) -> None:
    filters = [{"field": "service", "value": "sshd"}, {"field": "pid", "op": "lt", "value": 9}]
    time = {"from": "2026-10-01T10:01:00Z"}
    assert corpus.numbers(await corpus.operations.anomalies({"filters": filters, "time": time}, LOGS)) == [1]


async def test_a_score_whose_event_is_not_indexed_yet_is_shown_without_record(
    corpus: Corpus, client: AsyncElasticsearch
) -> None:
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    event = event_of(line("not there yet", host="late"))
    await indexer.scores([score_of(event, version=2, pattern_id="late", angle=2.0)])
    await client.indices.refresh(index="scored-lines_v2-logs")
    [hit] = (await corpus.operations.anomalies({"entity": "late"}, LOGS))["hits"]
    assert "record" not in hit
    assert (hit["key"], hit["entity"]) == (event.key, "late")
    await client.delete(index="scored-lines_v2-logs-2026", id=event.key, refresh=True)


async def test_a_record_is_shown_before_its_index_is_refreshed(corpus: Corpus, client: AsyncElasticsearch) -> None:
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    event = event_of(line("just now", host="fresh"))
    await indexer.events([event])
    await indexer.scores([score_of(event, version=2, pattern_id="fresh", angle=2.0)])
    await client.indices.refresh(index="scored-lines_v2-logs")
    [hit] = (await corpus.operations.anomalies({"entity": "fresh"}, LOGS))["hits"]
    assert hit["record"]["event"]["data"]["message"] == "just now"
    for alias in ("scored-lines_v2-logs-2026", "events-logs-2026"):
        await client.delete(index=alias, id=event.key, refresh=True)


async def test_the_nearest_events_come_first(corpus: Corpus) -> None:
    page = await corpus.operations.similar({"key": corpus.events[0].key}, LOGS)
    assert corpus.numbers(page) == [1, 2, 3, 4]
    likeness = [hit["score"] for hit in page["hits"]]
    assert likeness == sorted(likeness, reverse=True)
    assert likeness[0] == pytest.approx(0.995, abs=0.01)
    assert page["model"]["version"] == 2


async def test_a_text_finds_its_nearest_events(corpus: Corpus) -> None:
    page = await corpus.operations.similar({"text": "whatever", "size": 2}, LOGS)
    assert corpus.numbers(page)[0] == 2


@pytest.mark.parametrize("dataset", CONTRACTS.datasets)
async def test_a_text_is_embedded_as_a_type_of_a_dataset_that_its_caller_may_read(corpus: Corpus, dataset: str) -> None:
    types: list[str] = []

    async def noted(text: str, event_type: str) -> Embedding:
        types.append(event_type)
        return await embed(text, event_type)

    caller = RequestCaller("ingress", datasets=frozenset({dataset}))
    page = await operations_with(corpus, noted).similar({"text": "whatever"}, caller)
    assert [CONTRACTS.types[name].dataset for name in types] == [dataset]
    assert {hit["dataset"] for hit in page["hits"]} <= {dataset}


@pytest.mark.parametrize(
    ("types", "embedded_as"),
    [
        (None, "log.line.v1"),
        (["metric.sample.v1"], "metric.sample.v1"),
        (["metric.sample.v1", "cloud.audit.v1"], "cloud.audit.v1"),
        (["cloud.audit.v1", "user.interaction.v1"], "user.interaction.v1"),
        (["user.interaction.v1", "cloud.audit.v1"], "user.interaction.v1"),
        (["user.interaction.v1", "log.line.v1"], "log.line.v1"),
    ],
)
def test_a_text_is_embedded_as_the_type_with_the_fewest_text_members(types: list[str] | None, embedded_as: str) -> None:
    assert text_type(resolve(CONTRACTS, list(CONTRACTS.datasets), None, types)).type == embedded_as


async def test_similar_shows_one_event_per_pattern(corpus: Corpus) -> None:
    page = await corpus.operations.similar({"text": "whatever", "one_per_pattern": True, "size": 4}, LOGS)
    assert len(page["hits"]) == 4
    assert len({hit["anomaly"]["pattern_id"] for hit in page["hits"]}) == 4


async def test_vectors_of_different_model_versions_are_never_compared(corpus: Corpus) -> None:
    async def old(text: str, event_type: str) -> Embedding:
        return embedding(angle=0.0, version=1)

    page = await operations_with(corpus, old).similar({"text": "whatever"}, LOGS)
    assert corpus.numbers(page) == [3]


async def test_counts_come_in_total_by_value_and_by_time(corpus: Corpus) -> None:
    by_level = await corpus.operations.count({"by": "level", "size": 2}, LOGS)
    assert (by_level["total"], by_level["other"]) == (5, 1)
    assert {bucket["value"]: bucket["count"] for bucket in by_level["buckets"]} == {"error": 2, "info": 2}
    per_year = await corpus.operations.count({"per": "year"}, LOGS)
    assert [bucket["count"] for bucket in per_year["buckets"]] == [1, 4]
    assert per_year["buckets"][0]["value"].startswith("2025-01-01")
    assert (await corpus.operations.count({"text": "password"}, LOGS))["total"] == 3
    assert (await corpus.operations.count({}, ALL))["total"] == 8


async def test_no_answer_shows_a_dataset_that_is_not_granted(corpus: Corpus) -> None:
    everything = await corpus.operations.query({"size": 100}, ALL)
    assert {hit["dataset"] for hit in everything["hits"]} == {"logs", "metrics"}
    granted = await corpus.operations.query({"size": 100}, LOGS)
    assert {hit["dataset"] for hit in granted["hits"]} == {"logs"}
    metrics = RequestCaller("ingress", datasets=frozenset({"metrics"}))
    with pytest.raises(Refused, match="no model scores"):
        await corpus.operations.similar({"key": corpus.events[0].key}, metrics)


@pytest.mark.parametrize("operation", ["query", "similar", "anomalies", "count"])
@pytest.mark.parametrize(
    ("caller", "more"),
    [
        (LOGS, {"datasets": ["metrics"]}),
        (LOGS, {"datasets": ["logs", "metrics"]}),
        (LOGS, {"types": ["metric.sample.v1"]}),
        (LOGS, {"datasets": ["no_such_dataset"]}),
        (NOBODY, {}),
    ],
)
async def test_what_is_not_granted_is_refused(
    corpus: Corpus, operation: str, caller: RequestCaller, more: dict[str, Any]
) -> None:
    body = {"text": "x", **more} if operation == "similar" else more
    with pytest.raises(Refused) as refused:
        await getattr(corpus.operations, operation)(body, caller)
    assert refused.value.code == "FORBIDDEN"


@pytest.mark.parametrize(
    "body",
    [
        {"datasets": ["*"]},
        {"datasets": ["logs,events-metrics"]},
        {"datasets": ["logs-2026"]},
        {"datasets": ["_all"]},
        {"model": "lines_v1-*"},
        {"filters": [{"field": "secret", "value": "x"}]},
        {"filters": [{"field": "labels.x", "value": "x"}]},
        {"filters": [{"field": "pid", "value": "seven"}]},
        {"filters": [{"field": "level", "value": 7}]},
        {"filters": [{"field": "level", "value": {"index": "x", "id": "1", "path": "y"}}]},
        {"filters": [{"field": "message", "op": "gte", "value": "x"}]},
        {"filters": [{"field": "pid", "op": "prefix", "value": "1"}]},
        {"query": {"match_all": {}}},
        {"size": 101},
        {"text": "--- ::"},
        {"text": "a " * 65},
        {"boost_anomaly": 1.0},
        {"cursor": "bm90IG9uZQ"},
        {"cursor": "WyJhIiwxLDJd"},
        {"sort": "anomaly", "filters": [{"field": "@source", "value": "x"}]},
    ],
)
async def test_an_invalid_request_is_refused(corpus: Corpus, body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        await corpus.operations.query(body, ALL)
    assert refused.value.code == "QUERY_INVALID"


async def test_a_cursor_of_another_request_is_refused(corpus: Corpus) -> None:
    page = await corpus.operations.query({"size": 1}, LOGS)
    with pytest.raises(Refused, match="cursor"):
        await corpus.operations.query({"size": 1, "order": "asc", "cursor": page["cursor"]}, LOGS)


async def test_without_a_scorer_the_newest_version_with_scores_is_used(corpus: Corpus) -> None:
    async def nobody() -> LoadedModels:
        raise Unavailable("SERVICE_UNAVAILABLE", "nobody listens")

    operations = Operations(CONTRACTS, corpus.elastic, ActiveModels(corpus.elastic, nobody), embed)
    assert corpus.numbers(await operations.anomalies({}, LOGS)) == [0, 4, 2, 1, 3]


async def test_a_model_that_does_not_score_is_named(corpus: Corpus) -> None:
    with pytest.raises(Refused) as refused:
        await corpus.operations.anomalies({"model": "other"}, LOGS)
    assert refused.value.code == "MODEL_UNAVAILABLE"


async def test_a_page_of_large_records_ends_at_the_size_limit(corpus: Corpus, client: AsyncElasticsearch) -> None:
    indexer = Indexer(Bulker(client, Indices(client, CONTRACTS)), EPOCHS)
    large = [event_of(line("large " + "x" * 60_000, host="large")) for _ in range(30)]
    await indexer.events(large)
    await client.indices.refresh(index="events-logs")
    seen: list[str] = []
    more: dict[str, Any] = {}
    pages = 0
    while True:
        page = await corpus.operations.query({"entity": "large", "size": 30, **more}, LOGS)
        seen += [hit["key"] for hit in page["hits"]]
        pages += 1
        if "cursor" not in page:
            break
        more = {"cursor": page["cursor"]}
    assert sorted(seen) == sorted(event.key for event in large)
    assert pages == 2
    for event in large:
        await client.delete(index="events-logs-2026", id=event.key)
    await client.indices.refresh(index="events-logs")


async def test_a_node_that_does_not_answer_fails_requests_at_once(corpus: Corpus, elasticsearch: Processes) -> None:
    async with elasticsearch.frozen("elasticsearch"):
        await corpus.elastic.look()
        with pytest.raises(PenstockError) as failed:
            await corpus.operations.query({}, LOGS)
    assert failed.value.code == "STORE_UNAVAILABLE"
    assert failed.value.retriable
    await corpus.elastic.look()
    assert corpus.elastic.unready_reason is None
