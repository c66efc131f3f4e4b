"""Accepted means storable: whatever the check takes, Elasticsearch takes with the templates of the contracts, and
Cassandra with the tables of the writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from penstock.consume import Done
from penstock.contract_check.example_files import valid_files
from penstock.contract_check.lint_examples import NOW
from penstock.contracts import load
from penstock.elasticsearch.templates import templates
from penstock.events import MAX_EVENT_BYTES, Checker, Event, record
from penstock.services.indexer.logic import event_line
from penstock.services.writer import cassandra_roles, migrate
from penstock.services.writer.logic import Writer
from penstock.services.writer.noted_periods import NOTE
from penstock.services.writer.periods import period
from penstock.services.writer.store import Store
from tests.support import event_strategies
from tests.support.processes import Processes

CONTRACTS = load()
CHECKER = Checker(CONTRACTS)
TYPES = sorted(CONTRACTS.types)
# Some hundred events a type, in some seconds.
THOROUGH = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def index(elasticsearch: Processes) -> Iterator[httpx.Client]:
    """A client of the node with the templates in place."""
    with httpx.Client(base_url=elasticsearch.place.elasticsearch, timeout=60) as client:
        for kind, bodies in templates(CONTRACTS).items():
            for name, body in bodies.items():
                path = f"/_{kind}_template/{name}"
                client.put(path, json=body).raise_for_status()
        yield client


@pytest.mark.parametrize("type", TYPES)
def test_whatever_is_accepted_can_be_indexed(index: httpx.Client, type: str) -> None:
    @THOROUGH
    @given(st.lists(event_strategies.events(CONTRACTS.types[type]), min_size=1, max_size=8))
    def every_batch(raws: list[bytes]) -> None:
        assume(all(len(raw) <= MAX_EVENT_BYTES for raw in raws))
        assert refusals(index, [accepted(raw) for raw in raws]) == []

    every_batch()


@pytest.mark.parametrize("type", TYPES)
def test_examples_can_be_indexed_and_are_found_by_their_members(index: httpx.Client, type: str) -> None:
    for path in valid_files(CONTRACTS, type):
        event = accepted(path.read_bytes())
        assert refusals(index, [event], "?refresh=true") == []
        for member, indexed in CONTRACTS.types[type].indexed.items():
            value = next(iter(values(event.value["data"], member.split("."))), None)
            if value is not None and indexed.kind in ("keyword", "long", "boolean"):
                query = {"bool": {"filter": [{"term": {f"event.data.{member}": value}}, {"term": {"key": event.key}}]}}
                found = index.post("/events-*/_search", json={"query": query}).raise_for_status().json()
                assert found["hits"]["total"]["value"] == 1, f"{path.name} is not found by {member}"


def test_no_keyword_or_number_that_is_accepted_is_left_out_of_the_index(index: httpx.Client) -> None:
    index.post("/events-*/_refresh").raise_for_status()
    request = {"size": 0, "aggs": {"left_out": {"terms": {"field": "_ignored", "size": 100}}}}
    answer = index.post("/events-*/_search", json=request).raise_for_status().json()
    assert answer["hits"]["total"]["value"] > 0
    left_out = {bucket["key"] for bucket in answer["aggregations"]["left_out"]["buckets"]}
    # The pattern of an address cannot say what is one; such a text is stored and returned, but not found by range.
    assert left_out <= {"event.data.client.address"}


RECORD = "SELECT record FROM {keyspace}.events WHERE period = ? AND pp = ? AND key = ?"


@pytest_asyncio.fixture(scope="module")
async def store(cassandra: Processes) -> AsyncIterator[Store]:
    """The writer's connection, with its tables."""
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.set_keyspace(cassandra.place.cassandra_keyspace)
        migrate.migrate(admin, migrate.read())
    store = Store(cassandra.place)
    await store.open([RECORD, NOTE])
    yield store
    await store.close()


async def test_whatever_is_accepted_can_be_stored_and_read_back(store: Store) -> None:
    events = {event.key: event for type in TYPES for event in corpus(type)}
    assert len(events) > 200
    outcomes = await Writer(store, "month", patience=10).events(list(events.values()))
    assert [outcome for outcome in outcomes if not isinstance(outcome, Done)] == []
    for event in events.values():
        [row] = await store.read(RECORD, (period("month", event.time_ms), event.pp, UUID(event.key)))
        assert bytes(row.record) == record(event)


def corpus(type: str) -> list[Event]:
    """The examples of a type and a hundred odd events, each from another publisher: like ids are not one event."""
    sender = type.replace(".", "_")
    found = [accepted(path.read_bytes(), sender) for path in valid_files(CONTRACTS, type)]

    @THOROUGH
    @given(event_strategies.events(CONTRACTS.types[type]))
    def collect(raw: bytes) -> None:
        assume(len(raw) <= MAX_EVENT_BYTES)
        found.append(accepted(raw, f"{sender}_{len(found)}"))

    collect()
    return found


def accepted(raw: bytes, publisher: str = "example") -> Event:
    """The event as a worker has it."""
    event = CHECKER.at_ingress(raw, publisher=publisher, door="http", now_ns=NOW)
    event.stream, event.sequence, event.stored_at_ns = "EVENTS_HTTP", next(SEQUENCE), NOW
    return event


def refusals(index: httpx.Client, events: Sequence[Event], options: str = "") -> list[Any]:
    """What Elasticsearch says of those events that it does not take."""
    body = b"".join(event_line(event, epoch=1).body for event in events)
    answer = index.post(f"/_bulk{options}", content=body, headers={"content-type": "application/x-ndjson"})
    items = answer.raise_for_status().json()["items"]
    assert len(items) == len(events)
    # 409: the same event twice in a batch, and so already there.
    return [item["index"]["error"] for item in items if item["index"]["status"] not in (200, 201, 409)]


def values(node: Any, names: list[str]) -> Iterator[Any]:
    """The values that a path leads to, arrays stepped through."""
    if isinstance(node, list):
        for each in node:
            yield from values(each, names)
    elif not names:
        yield node
    elif isinstance(node, dict) and names[0] in node:
        yield from values(node[names[0]], names[1:])


SEQUENCE = iter(range(1, 1 << 40))
