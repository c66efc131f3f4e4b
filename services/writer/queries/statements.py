"""The statements that the writer asks Cassandra, and its errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from cassandra import OperationTimedOut, ReadTimeout
from cassandra.cluster import NoHostAvailable

from penstock.errors import Unavailable
from penstock.services.writer.generations import table_of
from penstock.services.writer.noted_periods import LIST, NOTE
from penstock.services.writer.store import Store
from penstock.services.writer.verdicts import unreachable
from penstock.stopping import set_within
from penstock.telemetry.traces import store_step

PERIODS = LIST
GET = "SELECT key, dataset, record FROM {keyspace}.events WHERE period = ? AND pp = ? AND key IN ?"
TIMELINE = (
    "SELECT key, event, type, publisher, summary FROM {keyspace}.timeline "
    "WHERE period = ? AND pp = ? AND entity = ? AND key >= ? AND key < ? LIMIT ?"
)
POSITIONS = "SELECT key, position FROM {keyspace}.events WHERE period = ? AND pp = ? AND key IN ?"
STANDING = "SELECT key FROM {keyspace}.timeline WHERE period = ? AND pp = ? AND entity = ? AND key IN ?"
SCORES = "SELECT key, model, version, score FROM {keyspace}.scores WHERE period = ? AND pp = ? AND key IN ?"
# Filtering reads whole partitions, as counting does anyway.
COUNT_EVENTS = (
    "SELECT count(*) AS count FROM {keyspace}.events WHERE period = ? AND pp IN ? AND dataset = ? ALLOW FILTERING"
)
COUNT_SCORES = (
    "SELECT count(*) AS count FROM {keyspace}.scores WHERE period = ? AND pp IN ? AND dataset = ? ALLOW FILTERING"
)
PAGE = "SELECT key, dataset, record FROM {keyspace}.events WHERE period = ? AND pp = ? AND key > ? AND key <= ? LIMIT ?"
PAGE_SCORES = (
    "SELECT key, model, version, dataset, score FROM {keyspace}.scores "
    "WHERE period = ? AND pp = ? AND (key, model, version) > (?, ?, ?) LIMIT ?"
)
COUNT_HELD = (
    "SELECT key, dataset, WRITETIME(record) AS accepted FROM {keyspace}.events "
    "WHERE period = ? AND pp = ? AND key > ? AND key <= ? LIMIT ?"
)
COUNT_PAGE = "SELECT key FROM {keyspace}.events WHERE period = ? AND pp = ? AND key > ? LIMIT ?"
COUNT_ENTITY = (
    "SELECT entity, key, event FROM {keyspace}.timeline WHERE period = ? AND pp = ? AND entity = ? AND key < ? LIMIT ?"
)
COUNT_ENTITIES = "SELECT entity, key, event FROM {keyspace}.timeline WHERE period = ? AND pp = ? AND entity > ? LIMIT ?"
ENTRY = "SELECT event, type, publisher FROM {keyspace}.timeline WHERE period = ? AND pp = ? AND entity = ? AND key = ?"
AUDIT = (
    "SELECT sequence, subject, stored_at, names, record FROM {keyspace}.audit "
    "WHERE day = ? AND hour = ? AND sequence < ? LIMIT ?"
)
COLUMNS = "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = '{keyspace}'"
TABLES = "SELECT table_name, id FROM system_schema.tables WHERE keyspace_name = '{keyspace}'"
DROPPED = (
    "SELECT table_name, column_name, dropped_time FROM system_schema.dropped_columns WHERE keyspace_name = '{keyspace}'"
)
TRUNCATED = "SELECT truncated_at FROM system.local WHERE key = 'local'"
ALIVE = "SELECT key FROM system.local WHERE key = 'local'"
ALL = (
    NOTE,
    LIST,
    GET,
    TIMELINE,
    POSITIONS,
    STANDING,
    SCORES,
    COUNT_EVENTS,
    COUNT_SCORES,
    PAGE,
    PAGE_SCORES,
    COUNT_HELD,
    COUNT_PAGE,
    COUNT_ENTITY,
    COUNT_ENTITIES,
    ENTRY,
    AUDIT,
    COLUMNS,
    TABLES,
    DROPPED,
    TRUNCATED,
    ALIVE,
)
_LOOK_SECONDS, _LOOK_EVERY = 3.0, 2.0


class Reads:
    """Asks. `unready_reason` says why Cassandra cannot be asked now; then every statement fails at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unready_reason: str | None = "not reached yet"

    async def read(self, statement: str, values: Sequence[Any] = (), *, table: str | None = None) -> Any:
        """The first page of rows; `table` as in Store.read. Raises Unavailable."""
        if self.unready_reason is not None:
            raise Unavailable("STORE_UNAVAILABLE", f"Cassandra: {self.unready_reason}", retry_after=2)

        async def reading() -> Any:
            await self._store.generations.refresh()
            with store_step("cassandra", "SELECT", table or table_of(statement) or ""):
                return await self._store.read(statement, values, table=table)

        return await as_ours(reading())

    async def truncate(self, table: str) -> None:
        """Removes all rows of a table. Raises Unavailable."""
        await as_ours(self._store.truncate(table))

    async def look_at_generations(self) -> None:
        """Reads now which tables are live. Raises Unavailable."""
        await as_ours(self._store.generations.look())

    async def watch(self, stop: asyncio.Event) -> None:
        """Keeps `unready_reason` true to the cluster until `stop`, once the store is open."""
        while not stop.is_set():
            await self.look()
            await set_within(stop, _LOOK_EVERY)

    async def look(self) -> None:
        """Asks once whether Cassandra answers."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await as_ours(self._store.read(ALIVE))
        except TimeoutError:
            self.unready_reason = f"no answer within {_LOOK_SECONDS:.0f} s"
        except Unavailable as error:
            self.unready_reason = error.detail.removeprefix("Cassandra: ")
        else:
            self.unready_reason = None


async def as_ours(answer: Awaitable[Any]) -> Any:
    """What Cassandra answers. Raises Unavailable."""
    try:
        return await answer
    except (OperationTimedOut, ReadTimeout) as error:
        raise Unavailable("TIMED_OUT", f"Cassandra did not answer in time: {error}"[:300], retry_after=1) from error
    except (asyncio.CancelledError, Unavailable):
        raise
    except Exception as error:  # the driver's errors have no common base
        text = f"Cassandra: {unreachable(error) if isinstance(error, NoHostAvailable) else error}"[:300]
        raise Unavailable("STORE_UNAVAILABLE", text, retry_after=2) from error
