"""svc.store.* at the real Cassandra: records, timelines and numbers, and what nobody may see."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from penstock.consume import Done
from penstock.errors import PenstockError, Refused
from penstock.events import Event, record
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import MAX_KEYS
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries.operations import Operations
from penstock.services.writer.queries.statements import Reads
from penstock.services.writer.store import Store
from tests.support.deliveries import CONTRACTS, event_of, line, sample, score_of
from tests.support.processes import Processes

ALL = RequestCaller("trainer", datasets=frozenset({"*"}))
LOGS = RequestCaller("ingress", datasets=frozenset({"logs"}))
NOBODY = RequestCaller("ingress")
HOST = "store_1"


class Corpus:
    """What is stored: thirty lines of one host over fifteen months, ten samples of it, and one line of another host."""

    def __init__(self, operations: Operations, reads: Reads) -> None:
        times = [f"{2025 + n // 24}-{1 + n // 2 % 12:02d}-0{1 + n % 2}T10:00:00Z" for n in range(30)]
        self.lines = [event_of(line(f"line {n}", host=HOST, time=time)) for n, time in enumerate(times)]
        self.samples = [
            event_of(sample("cpu", n, host=HOST, time=f"2026-02-0{1 + n % 9}T11:00:0{n}Z")) for n in range(9)
        ]
        self.other = event_of(line("another", host="store_2", time="2026-02-01T00:00:00Z"))
        self.operations = operations
        self.reads = reads

    @property
    def events(self) -> list[Event]:
        return [*self.lines, *self.samples, self.other]


@pytest.fixture(scope="module")
async def corpus(store: Store) -> Corpus:
    reads = Reads(store)
    await reads.look()
    corpus = Corpus(Operations(CONTRACTS, reads, "month"), reads)
    writer = Writer(store, "month")
    assert set(await writer.events(corpus.events)) == {Done()}
    assert set(await writer.scores([score_of(corpus.other), score_of(corpus.lines[0])])) == {Done()}
    return corpus


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    """As it comes over the wire."""
    value: dict[str, Any] = orjson.loads(orjson.dumps(answer))
    return value


async def test_records_come_as_they_were_stored_in_the_order_of_the_keys(corpus: Corpus) -> None:
    chosen = [corpus.lines[5], corpus.samples[0], corpus.other, corpus.lines[29]]
    answer = plain(await corpus.operations.get({"keys": [event.key for event in chosen]}, ALL))
    assert answer["records"] == [orjson.loads(record(event)) for event in chosen]
    assert (answer["missing"], answer["left"]) == ([], [])


async def test_a_key_that_is_not_there_is_missing(corpus: Corpus) -> None:
    never = event_of(line("never stored")).key
    answer = plain(await corpus.operations.get({"keys": [never, corpus.other.key, never]}, ALL))
    assert [found["key"] for found in answer["records"]] == [corpus.other.key]
    assert answer["missing"] == [never]


async def test_records_beyond_the_size_limit_are_left_for_the_next_request(corpus: Corpus, store: Store) -> None:
    large = [event_of(line("x" * 60_000, host="large")) for _ in range(60)]
    assert set(await Writer(store, "month").events(large)) == {Done()}
    left, seen, rounds = [event.key for event in large], 0, 0
    while left:
        answer = plain(await corpus.operations.get({"keys": left}, ALL))
        assert len(orjson.dumps(answer)) < 1024 * 1024
        seen, left, rounds = seen + len(answer["records"]), answer["left"], rounds + 1
    assert (seen, rounds) == (60, 4)


async def test_a_timeline_is_newest_first_over_all_periods(corpus: Corpus) -> None:
    answer = await corpus.operations.timeline({"entity": HOST}, LOGS)
    assert [entry["key"] for entry in answer["entries"]] == [event.key for event in reversed(corpus.lines)]
    first = answer["entries"][0]
    assert first["summary"] == "line 29"
    assert first["time"] == "2026-03-02T10:00:00.000Z"
    assert (first["type"], first["dataset"], first["publisher"]) == ("log.line.v1", "logs", "example")
    assert "cursor" not in answer


async def test_a_timeline_shows_what_the_newest_version_said(corpus: Corpus, store: Store) -> None:
    newer = score_of(corpus.lines[1], score=0.9, version=10)
    scores = [score_of(corpus.lines[1], score=0.2, version=9), newer]
    assert set(await Writer(store, "month").scores(scores)) == {Done()}
    answer = await corpus.operations.timeline({"entity": HOST}, LOGS)
    shown = {entry["key"]: entry["anomaly"] for entry in answer["entries"] if "anomaly" in entry}
    assert shown.keys() == {corpus.lines[0].key, corpus.lines[1].key}
    said = shown[corpus.lines[1].key]
    assert (said["score"], said["model"]["version"]) == (0.9, 10)


async def test_a_page_ends_without_a_cursor_where_only_what_is_not_granted_follows(corpus: Corpus) -> None:
    metrics = RequestCaller("ingress", datasets=frozenset({"metrics"}))
    page = await corpus.operations.timeline({"entity": HOST, "limit": len(corpus.samples)}, metrics)
    assert len(page["entries"]) == len(corpus.samples)
    assert "cursor" not in page  # the lines are older, and not for it


async def test_skipping_many_rows_that_are_not_granted_ends_the_page_between_two_timestamps(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.services.writer.queries.timeline.MOST_SEEN", 5)
    seen: list[str] = []
    pages = 0
    more: dict[str, Any] = {}
    known = {event.key for event in corpus.events}
    while True:
        answer = await corpus.operations.timeline({"entity": HOST, **more}, LOGS)
        seen += [entry["key"] for entry in answer["entries"]]
        pages += 1
        if "cursor" not in answer:
            break
        assert answer["cursor"] not in known
        more = {"cursor": answer["cursor"]}
    assert seen == [event.key for event in reversed(corpus.lines)]
    assert pages > 3


async def test_pages_of_a_timeline_follow_each_other_without_gap_or_repeat(corpus: Corpus) -> None:
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = await corpus.operations.timeline({"entity": HOST, "limit": 7, **more}, ALL)
        seen += [entry["key"] for entry in answer["entries"]]
        if "cursor" not in answer:
            break
        more = {"cursor": answer["cursor"]}
    assert seen == sorted((event.key for event in (*corpus.lines, *corpus.samples)), reverse=True)


async def test_pages_skip_rows_that_are_not_granted(corpus: Corpus) -> None:
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        answer = await corpus.operations.timeline({"entity": HOST, "limit": 4, **more}, LOGS)
        seen += [entry["key"] for entry in answer["entries"]]
        if "cursor" not in answer:
            break
        more = {"cursor": answer["cursor"]}
    assert seen == [event.key for event in reversed(corpus.lines)]


@pytest.mark.parametrize(
    ("time", "found"),
    [
        ({"from": "2026-02-02T10:00:00Z"}, {27, 28, 29}),
        ({"from": "2026-02-02T10:00:00.001Z"}, {28, 29}),
        ({"to": "2025-02-01T10:00:00Z"}, {0, 1}),
        ({"from": "2025-01-02T00:00:00Z", "to": "2025-02-02T10:00:00Z"}, {1, 2}),
        ({"from": "2030-01-01T00:00:00Z"}, set()),
    ],
)
async def test_a_timeline_of_a_range_of_time(corpus: Corpus, time: dict[str, str], found: set[int]) -> None:
    answer = await corpus.operations.timeline({"entity": HOST, "time": time}, LOGS)
    assert {entry["key"] for entry in answer["entries"]} == {corpus.lines[number].key for number in found}


async def test_counts_come_per_dataset_and_period(corpus: Corpus) -> None:
    time = {"from": "2026-02-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    counts = (await corpus.operations.count({"time": time}, ALL))["counts"]
    by_dataset = {count["dataset"]: (count["events"], count["scores"]) for count in counts}
    assert by_dataset == {"logs": (3, 1), "metrics": (9, 0)}
    assert {count["period"] for count in counts} == {"2026-02"}


async def test_no_answer_shows_a_dataset_that_is_not_granted(corpus: Corpus) -> None:
    answer = plain(await corpus.operations.get({"keys": [corpus.samples[0].key, corpus.other.key]}, LOGS))
    assert [found["key"] for found in answer["records"]] == [corpus.other.key]
    assert answer["missing"] == [corpus.samples[0].key]
    assert {count["dataset"] for count in (await corpus.operations.count({}, LOGS))["counts"]} == {"logs"}
    assert plain(await corpus.operations.get({"keys": [corpus.other.key]}, NOBODY))["records"] == []


@pytest.mark.parametrize(
    ("operation", "request_", "caller", "code"),
    [
        ("count", {"datasets": ["metrics"]}, LOGS, "FORBIDDEN"),
        ("timeline", {"entity": HOST, "datasets": ["metrics"]}, LOGS, "FORBIDDEN"),
        ("timeline", {"entity": HOST}, NOBODY, "FORBIDDEN"),
        ("timeline", {"entity": ""}, ALL, "QUERY_INVALID"),
        ("timeline", {"entity": HOST, "cursor": "x"}, ALL, "QUERY_INVALID"),
        ("timeline", {"entity": HOST, "limit": 0}, ALL, "QUERY_INVALID"),
        ("get", {"keys": []}, ALL, "QUERY_INVALID"),
        ("get", {"keys": ["1' OR '1'='1"]}, ALL, "QUERY_INVALID"),
        ("get", {"keys": ["01a196fb-0eab-8b44-b616-1c5bd21eee6b"] * (MAX_KEYS + 1)}, ALL, "QUERY_INVALID"),
        ("count", {"datasets": ["logs'; DROP TABLE events"]}, ALL, "QUERY_INVALID"),
    ],
)
async def test_what_is_not_valid_or_not_granted_is_refused(
    corpus: Corpus, operation: str, request_: dict[str, Any], caller: RequestCaller, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await getattr(corpus.operations, operation)(request_, caller)
    assert refused.value.code == code


async def test_a_node_that_does_not_answer_fails_requests_at_once(
    corpus: Corpus, store: Store, cassandra: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.services.writer.queries.statements._LOOK_SECONDS", 0.5)
    async with cassandra.frozen("cassandra"):
        await corpus.reads.look()
        with pytest.raises(PenstockError) as failed:
            await corpus.operations.timeline({"entity": HOST}, LOGS)
    assert failed.value.code == "STORE_UNAVAILABLE"
    assert failed.value.retriable
    monkeypatch.undo()
    await corpus.reads.look()
    assert corpus.reads.unready_reason is None
