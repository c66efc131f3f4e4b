"""The sinks' own parts at the real stores, without a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch.client import connect_async
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.writer import migrate
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries import statements
from penstock.services.writer.store import Store
from penstock.stack import cassandra_roles
from tests.support.deliveries import CONTRACTS
from tests.support.processes import Processes

EPOCHS = {"EVENTS_HTTP": 1, "EVENTS_NATS": 1}
PATIENCE = 60.0  # more than a store needs to come back


@pytest.fixture(scope="module")
async def client(elasticsearch: Processes) -> AsyncIterator[AsyncElasticsearch]:
    """The indexer's client; every test module finds an empty cluster."""
    client = connect_async(elasticsearch.place)
    try:
        left = await client.indices.get(index="events-*,scored-*", filter_path="*.aliases")
        for index in left.body:
            await client.indices.delete(index=index)
        yield client
    finally:
        await client.close()


@pytest.fixture
async def bulker(client: AsyncElasticsearch) -> Bulker:
    """Gives up on a request after two seconds, on a line after a minute."""
    return Bulker(client, Indices(client, CONTRACTS), patience=PATIENCE, timeout=2.0)


@pytest.fixture
async def indexer(bulker: Bulker) -> Indexer:
    """The indexer's logic at the real node."""
    return Indexer(bulker, EPOCHS)


@pytest.fixture(scope="module")
async def store(cassandra: Processes) -> AsyncIterator[Store]:
    """The writer's connection, as the writer's role, with its tables migrated and empty."""
    place = cassandra.place
    with cassandra_roles.admin(place) as admin:
        admin.set_keyspace(place.cassandra_keyspace)
        migrate.migrate(admin, migrate.read())
        for table in ("events", "timeline", "scores", "periods"):
            admin.execute(f"TRUNCATE {table}")
    store = Store(place)
    await store.open(statements.ALL)
    yield store
    await store.close()


@pytest.fixture
async def writer(store: Store) -> Writer:
    """The writer's logic at the real node."""
    return Writer(store, "month", patience=PATIENCE)
