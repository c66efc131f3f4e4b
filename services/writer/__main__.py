"""EVENTS_HTTP, EVENTS_NATS, SCORES, AUDIT → writer → Cassandra;  svc.store.* → Cassandra → reply"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog
from cassandra.cluster import NoHostAvailable

from penstock.broker import Broker, Keys
from penstock.consume import LaneOptions, Limits
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.events import Checker
from penstock.replay.run import BUCKET
from penstock.rpc.server import Operation, serve
from penstock.runtime import Parts, Source, Watch, main
from penstock.scoring.score import read_score
from penstock.services.writer import audit_rows
from penstock.services.writer.logic import Writer
from penstock.services.writer.queries import statements
from penstock.services.writer.queries.held import HeldStored
from penstock.services.writer.queries.operations import Operations
from penstock.services.writer.queries.replay_pages import ReplayPages
from penstock.services.writer.queries.statements import Reads
from penstock.services.writer.queries.table_operations import TableOperations
from penstock.services.writer.repairs import Repairs
from penstock.services.writer.settings import WriterSettings
from penstock.services.writer.store import Store
from penstock.services.writer.table_check import TableCheck
from penstock.services.writer.table_ledger import TableLedger
from penstock.services.writer.verdicts import unopened, unreachable
from penstock.stopping import set_within

_log = structlog.get_logger(__name__)
NAME = "writer"
_OPTIONS = LaneOptions(
    # A batch falls into as many partitions as it has entities' pp: the larger it is, the more rows go together.
    batch=3000,
    in_flight=2,
    linger=0.1,
    linger_most=0.3,
    # Each byte held is held several times over on its way; with large events these bounds count, not the numbers above.
    limits=Limits(messages=12_000, bytes=8 * 1024 * 1024, batch_bytes=2 * 1024 * 1024),
)
_OPEN_EVERY = 2.0  # seconds between tries to reach Cassandra


async def build(broker: Broker, settings: WriterSettings) -> Parts:
    """The writer's parts; Cassandra may be away, then messages wait."""
    contracts = load()
    checker = Checker(contracts)
    length = settings.cassandra_period
    store = Store(settings)
    store_reads = Reads(store)
    writer = Writer(store, length)
    operations = Operations(contracts, store_reads, length)
    pages = ReplayPages(broker, store_reads, length)
    of_pages = {**pages.all, "count": HeldStored(store_reads).count}
    tables = TableOperations(store, store_reads, length, Keys(broker, BUCKET))
    table_check = TableCheck(store_reads, store.generations, TableLedger(broker), Repairs(broker, contracts))
    source = partial(Source, consumer=NAME, options=_OPTIONS)
    streams = contracts.event_streams
    return Parts(
        sources=(
            *(
                source(
                    stream=stream,
                    decode=checker.delivered,
                    handle=writer.events,
                    replayed=partial(writer.replayed, checker.delivered),
                )
                for stream in streams
            ),
            source(stream="AUDIT", decode=audit_rows.read, handle=writer.audit),
            source(stream="SCORES", decode=partial(read_score, contracts=contracts), handle=writer.scores),
        ),
        service="store",
        operations={
            "get": operations.get,
            "timeline": operations.timeline,
            "count": operations.count,
            "audit": operations.audit,
        },
        unready_reason=lambda: f"Cassandra: {store_reads.unready_reason}" if store_reads.unready_reason else "",
        sinks=(writer.retry,),
        watches=(Watch("tables", table_check.check, settings.check_seconds),),
        background=(
            lambda stop: reach(store, store_reads, stop),
            lambda stop: _answer_operator(broker, "store_replay", of_pages, stop),
            lambda stop: _answer_operator(broker, "tables", tables.all, stop),
        ),
        on_stop=(writer.stop,),
        close=store.close,
        push_backs=lambda: writer.push_backs,
    )


async def _answer_operator(
    broker: Broker, service: str, operations: Mapping[str, Operation], stop: asyncio.Event
) -> None:
    """A service of its own: what it serves is for the operator alone."""
    responder = await serve(broker, service, operations, concurrency=2)
    await stop.wait()
    await responder.stop(0.3)


async def reach(store: Store, store_reads: Reads, stop: asyncio.Event) -> None:
    """Reaches Cassandra as soon as it is there, then watches it. Raises PenstockError when the period was changed."""
    while not store.is_open:
        try:
            await store.open(statements.ALL)
        except PenstockError:
            raise
        except NoHostAvailable as error:
            store_reads.unready_reason = unreachable(error)[:300]
        except Exception as error:  # noqa: BLE001 - tables not migrated, rights not granted: an operator acts, we wait
            store_reads.unready_reason = unopened(error)
        if not store.is_open:
            _log.warning("cassandra_connect_failed", reason=store_reads.unready_reason)
            if await set_within(stop, _OPEN_EVERY):
                return
    await store_reads.watch(stop)


if __name__ == "__main__":
    main(NAME, build, WriterSettings())
