"""Past periods share indices: few of them whatever times a sender writes, and each event in the same one for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from elasticsearch import ApiError, AsyncElasticsearch

from penstock.consume import Done, Outcome
from penstock.contract_check.lint_events import MAX_INDICES
from penstock.elasticsearch import names
from penstock.elasticsearch.client import connect_async
from penstock.events import Event
from penstock.rpc.caller import RequestCaller
from penstock.services.indexer import period_indices
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.held import HeldIndexed
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.indexer.period_indices import claim
from penstock.services.indexer.search.elastic import Elastic
from tests.stores.conftest import EPOCHS, PATIENCE
from tests.support.deliveries import CHECKER, CONTRACTS, event_of, sample, score_of
from tests.support.processes import Processes

# Half an hour before the end of a year: what the types allow of the future lies in the next one.
NOW = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
SHARDS = 120  # that the node may have; the spread alone took 344 for events, and as many for each model version


MADE = 20  # indices: 3 decades of logs, 2 of cloud, 2 of metrics, 1 of interactions, and of each 3 periods around now
ROUNDS = 3  # MADE in eights
CALLER = RequestCaller("operator")


def indexer_at(client: AsyncElasticsearch, moment: datetime) -> Indexer:
    """An indexer whose clock stands still."""
    return Indexer(Bulker(client, Indices(client, CONTRACTS, clock=moment.timestamp), patience=PATIENCE), EPOCHS)


def at(event: Event) -> datetime:
    return datetime.fromtimestamp(event.time_ms / 1000, UTC)


def spread() -> list[Event]:
    """An event of each type and each period that its bounds allow, and one in the future."""
    events = []
    for name, event_type in CONTRACTS.types.items():
        typical = orjson.loads((CONTRACTS.root / "examples" / name / "typical.json").read_bytes())
        first, last = NOW - event_type.time.past + timedelta(hours=1), NOW + event_type.time.future
        times = [NOW - timedelta(days=14 * number) for number in range((NOW - first).days // 14 + 1)]
        for number, time in enumerate([first, *times, last - timedelta(minutes=1)]):
            raw = orjson.dumps({**typical, "id": f"{name}-{number}", "time": f"{time:%Y-%m-%dT%H:%M:%SZ}"})
            now_ns = int(NOW.timestamp()) * 1_000_000_000
            accepted = CHECKER.at_ingress(raw, publisher="example", door="http", now_ns=now_ns)
            accepted.stream, accepted.sequence, accepted.stored_at_ns = "EVENTS_HTTP", number + 1, now_ns
            events.append(accepted)
    return events


@pytest.fixture
async def few_shards(client: AsyncElasticsearch) -> AsyncIterator[None]:
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": SHARDS})
    yield
    await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})


async def documents(client: AsyncElasticsearch, pattern: str) -> dict[str, int]:
    """The documents of each index."""
    client = client.options(request_timeout=60.0)
    await client.indices.refresh(index=pattern)
    answer = await client.indices.stats(index=pattern, metric="docs")
    return {name: each["primaries"]["docs"]["count"] for name, each in answer.body["indices"].items()}


async def send(send: Callable[[list[Any]], Awaitable[list[Outcome]]], items: list[Any]) -> int:
    """Until all are done, and how often something came again: a batch has eight indices made at a time."""
    for again in count():
        outcomes = await send(items)
        items = [item for item, outcome in zip(items, outcomes, strict=True) if not isinstance(outcome, Done)]
        if not items:
            return again
    raise AssertionError


def all_done(outcomes: list[Outcome]) -> bool:
    return all(isinstance(outcome, Done) for outcome in outcomes)


@pytest.mark.timeout(600)  # sixty indices are made, one after the other
async def test_who_spreads_time_over_all_that_is_allowed_makes_few_indices_and_everything_is_found_once(
    client: AsyncElasticsearch, elasticsearch: Processes, few_shards: None
) -> None:
    events = spread()
    aliases = {names.events_alias(event.type.dataset, event.time_ms) for event in events}
    assert len(aliases) > 330
    other = connect_async(elasticsearch.place)
    # Two at once, which make the same indices.
    first, second = (indexer_at(each, NOW) for each in (client, other))
    try:
        rounds = await asyncio.gather(send(first.events, events[::2]), send(second.events, events[1::2]))
        assert max(rounds) <= ROUNDS
        for version in (1, 2):
            scores = [score_of(event, version=version) for event in events]
            assert await send(first.scores, scores) <= ROUNDS
    finally:
        await other.close()

    kinds = ("events-*", "scored-lines_v1-*", "scored-lines_v2-*")
    made = {kind: await documents(client, kind) for kind in kinds}
    for kind, indices in made.items():
        assert len(indices) == MADE <= MAX_INDICES, kind
        assert sum(indices.values()) == len(events), kind

    # Everything is found: by its key through the alias of its period, by searches and by counts of days.
    elastic = Elastic(client)
    await elastic.look()
    places = [(names.events_alias(event.type.dataset, event.time_ms), event.key) for event in events]
    assert None not in await elastic.get(places)
    held = HeldIndexed(client)
    for dataset in CONTRACTS.datasets:
        days = Counter(f"{at(event):%Y-%m-%d}" for event in events if event.type.dataset == dataset)
        window = {"begin": "2000-01-01T00:00:00Z", "end": "2028-01-01T00:00:00Z", "per": "day", "dataset": dataset}
        accepted = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}
        counts = (await held.count({**window, **accepted}, CALLER))["counts"]
        assert {each["period"]: each["held"] for each in counts} == days
        in_2013 = sum(number for day, number in days.items() if day.startswith("2013"))
        for alias in (names.events_read(dataset), names.scored_read("lines", 2, dataset)):
            query = {"range": {"time": {"gte": "2013-01-01", "lt": "2014-01-01"}}}
            answer = await elastic.search([alias], {"size": 0, "track_total_hits": True, "query": query})
            assert answer["hits"]["total"]["value"] == in_2013

    # The same events again, a year later: what was made stays what it is.
    later = indexer_at(client, NOW + timedelta(days=365))
    again = [replace(event, sequence=event.sequence + 1000) for event in events]
    assert all_done(await later.events(again))
    assert await documents(client, "events-*") == made["events-*"]


async def test_a_period_keeps_its_own_index_and_full_indices_take_no_more_periods(
    client: AsyncElasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(month: str) -> Event:
        return event_of(sample("cpu", 1, time=f"{month}-02T00:00:00Z"))

    async def index_behind(month: str) -> list[str]:
        return list((await client.indices.get_alias(name=f"events-metrics-{month}")).body)

    for index in await documents(client, "events-metrics*"):
        await client.indices.delete(index=index)
    own, shared, full = of("2010-05"), of("2011-01"), of("2011-02")
    # May has an index of its own from the time when it was current, and is rebuilt while events of others come.
    assert all_done(await indexer_at(client, datetime(2010, 6, 1, tzinfo=UTC)).events([own]))
    assert all_done(await indexer_at(client, NOW).events([own, shared]))
    monkeypatch.setattr(period_indices, "FULL", 1)
    await client.indices.refresh(index="events-metrics-2010s")
    assert all_done(await indexer_at(client, NOW).events([full, own, shared]))
    assert await index_behind("2010-05") == ["events-metrics-2010-05-g1"]
    assert await index_behind("2011-01") == ["events-metrics-2010s-g1"]
    assert await index_behind("2011-02") == ["events-metrics-2011-02-g1"]
    # One that decides otherwise, like a release that knows no shared indices, is refused by Elasticsearch.
    with pytest.raises(ApiError, match="already exists as alias"):
        await client.indices.create(index="events-metrics-2011-01-g1")
    with pytest.raises(ApiError, match="same name"):
        await client.indices.update_aliases(actions=claim("events-metrics-2010s-g1", ["events-metrics-2010-05"]))
