"""The sinks' own parts at the real stores, without a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from elasticsearch import AsyncElasticsearch

from penstock.elasticsearch.client import connect_async
from penstock.services.indexer import __main__ as indexer_main
from penstock.services.indexer.bulk import Bulker
from penstock.services.indexer.indices import Indices
from penstock.services.indexer.logic import Indexer
from penstock.services.operator import __main__ as operator_main
from penstock.services.writer import __main__ as writer_main
from penstock.services.writer import cassandra_roles, generations, migrate
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries import statements
from penstock.services.writer.store import Store
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.deliveries import CONTRACTS
from tests.support.processes import Processes
from tests.support.replay_console import Console
from tests.support.workers import RunningWorker

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
        for table in ("events", "events_b", "timeline", "timeline_b", "scores", "periods"):
            admin.execute(f"TRUNCATE {table}")
        for name in generations.SECOND:
            first = "UPDATE generations SET live = %s, beside = null WHERE part = 'all' AND name = %s IF EXISTS"
            admin.execute(first, (name, name))
    store = Store(place)
    await store.open(statements.ALL)
    yield store
    await store.close()


@pytest.fixture
async def writer(store: Store) -> Writer:
    """The writer's logic at the real node."""
    return Writer(store, "month", patience=PATIENCE)


@pytest.fixture
def on_stores(
    rig: Rig, store: Store, client: AsyncElasticsearch, cassandra: Processes, elasticsearch: Processes
) -> Place:
    """The settings of workers on the rig's streams and the session's stores, which are empty."""
    del store, client  # have emptied them
    place = cassandra.place
    stores = {
        "cassandra_port": place.cassandra,
        "cassandra_password_file": place.cassandra_password,
        "elasticsearch_url": elasticsearch.place.elasticsearch,
    }
    return rig.place.model_copy(update=stores)


@pytest.fixture
async def sinks(rig: Rig, on_stores: Place) -> AsyncIterator[Rig]:
    """A writer and an indexer on the rig's streams and the session's stores."""
    async with (
        RunningWorker(rig, "writer", writer_main.build, settings=on_stores),
        RunningWorker(rig, "indexer", indexer_main.build, settings=on_stores),
    ):
        yield rig


@pytest.fixture
async def workers(sinks: Rig) -> AsyncIterator[Rig]:
    """These and an operator."""
    async with RunningWorker(sinks, "operator", operator_main.build):
        yield sinks


@pytest.fixture
async def console(sinks: Rig) -> Console:
    """The command line's requests to whichever operator runs."""
    return Console(await sinks.broker("replayer"))
