"""The connection to Cassandra: made and prepared once, off the event loop, then used without blocking it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from cassandra import ConsistencyLevel
from cassandra.auth import AuthProvider, PlainTextAuthenticator
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import DCAwareRoundRobinPolicy, ExponentialReconnectionPolicy, TokenAwarePolicy
from cassandra.query import BatchStatement, BatchType, PreparedStatement, named_tuple_factory

from penstock.errors import PenstockError, Unavailable
from penstock.services.writer import batch_frames
from penstock.services.writer.batch_frames import Frames
from penstock.services.writer.driver_futures import Bridge
from penstock.services.writer.generations import LIST, SET, Generations, both, table_of
from penstock.services.writer.rows import COLUMNS, Rows, routing_key
from penstock.services.writer.settings import WriterSettings

_log = structlog.get_logger(__name__)
REQUEST_SECONDS = 10.0
TRUNCATE_SECONDS = 20.0
_CONNECT_SECONDS = 5.0
_LENGTHS = "SELECT DISTINCT length FROM {keyspace}.periods"


class PasswordFile(AuthProvider):  # type: ignore[misc]  # the driver has no types
    """Logs in with the password that is in the file when a connection is made, so that it may be changed."""

    def __init__(self, username: str, path: Path) -> None:
        self._username = username
        self._path = path

    def new_authenticator(self, host: str) -> PlainTextAuthenticator:  # noqa: ARG002 - the driver says which
        """For one connection. Raises OSError when the file is not there."""
        return PlainTextAuthenticator(self._username, self._path.read_text(encoding="utf-8").strip())


class _Connection(Cluster.connection_class):  # type: ignore[misc]  # the driver has no types
    """The driver's, which would cut a batch into pieces of 4 KiB and call the system for each."""

    out_buffer_size = 128 * 1024


def open_cluster(settings: WriterSettings) -> Cluster:
    """A cluster object that has not connected yet."""
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(), shuffle_replicas=True),
        consistency_level=getattr(ConsistencyLevel, settings.cassandra_consistency),
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=REQUEST_SECONDS,
        row_factory=named_tuple_factory,
    )
    ca, name = settings.cassandra_ca_file, settings.cassandra_server_name
    return Cluster(
        [host.strip() for host in settings.cassandra_hosts.split(",")],
        port=settings.cassandra,
        connection_class=_Connection,
        auth_provider=PasswordFile(settings.cassandra_username, settings.cassandra_password),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        ssl_context=ssl.create_default_context(cafile=str(ca)) if ca else None,
        # Peers are found by address, which the certificates of an operator like K8ssandra do not name.
        ssl_options={"server_hostname": name} if ca and name else None,
        # Version 5 adds checksums to every frame, computed in Python; TLS and the commit log have theirs.
        protocol_version=4,
        connect_timeout=_CONNECT_SECONDS,
        control_connection_timeout=_CONNECT_SECONDS,
        reconnection_policy=ExponentialReconnectionPolicy(0.5, 5.0),
    )


class Store:
    """Runs statements in one keyspace. `open` it first; until then everything raises Unavailable STORE_UNAVAILABLE."""

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._bridge = Bridge()
        # The driver forgets a statement that nobody holds, and could not prepare it again on a node that is new to it.
        self._inserts: dict[str, PreparedStatement] = {}
        self._heads: dict[str, bytes] = {}  # of the inserts in a batch
        self._prepared: dict[tuple[str, str | None], PreparedStatement] = {}  # by statement and the table that it reads
        self.generations = Generations(lambda: self.read(LIST))
        self.request_timeout = REQUEST_SECONDS

    async def open(self, statements: Iterable[str]) -> None:
        """Connects, prepares the inserts and `statements` (CQL with `{keyspace}`). May be called again after an error.

        Raises what the driver raises, and PenstockError when the keyspace holds rows by another period.
        """
        await asyncio.get_running_loop().run_in_executor(None, self._open, tuple(statements))

    def _open(self, statements: Sequence[str]) -> None:
        cluster = open_cluster(self._settings)
        try:
            session = cluster.connect()

            def prepare(statement: str) -> PreparedStatement:
                return session.prepare(statement.replace("{keyspace}", self._settings.cassandra_keyspace))

            _same_period(session.execute(prepare(_LENGTHS)), self._settings.cassandra_period)
            session.client_protocol_handler = Frames
            inserts = {
                name: prepare(_insert(name, columns)) for table, columns in COLUMNS.items() for name in both(table)
            }
            prepared = {
                (statement, name): prepare(statement if name is None else statement.replace(f".{table}", f".{name}", 1))
                for statement in (*statements, LIST, SET)
                for table in (table_of(statement),)
                for name in (both(table) if table else (None,))
            }
        except BaseException:
            cluster.shutdown()
            raise
        self._heads = {table: batch_frames.head(insert) for table, insert in inserts.items()}
        self._cluster, self._session, self._inserts, self._prepared = cluster, session, inserts, prepared

    async def close(self) -> None:
        """Ends all connections."""
        cluster, self._cluster, self._session = self._cluster, None, None
        if cluster is not None:
            await asyncio.get_running_loop().run_in_executor(None, cluster.shutdown)

    @property
    def is_open(self) -> bool:
        """Whether it was opened; the node may be away nevertheless."""
        return self._session is not None

    def write(self, rows: Sequence[Rows]) -> asyncio.Future[Any]:
        """Writes rows of one partition as one batch, which is one mutation: all of them or none.

        Raises Unavailable where rows are to fill a table, and none is being filled."""
        session = self._connected()
        places = self.generations.filled if rows[0].fill else self.generations.written
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.routing_key = routing_key(rows[0].period, rows[0].pp)
        heads = self._heads
        # Encoded already, so they go where the driver's own `add` would put them, for `Frames` to find.
        statements = [
            heads[name] + values for row in rows for table, values in row.statements for name in places.get(table, ())
        ]
        if not statements:
            raise Unavailable("STORE_UNAVAILABLE", "no table is filled beside the live one any more: cancel the run")
        batch._statements_and_parameters = statements
        response = session.execute_async(batch, timeout=self.request_timeout)
        future = self._bridge.future(response)

        def let_go(_: object) -> None:
            statements.clear()  # the driver's timer makes a cycle around its request, which would keep them for long

        response.add_callbacks(let_go, let_go)
        return future

    def read(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any] = (), *, table: str | None = None
    ) -> asyncio.Future[Any]:
        """Asks one of the statements given to `open`; resolves with its first page of rows. `table`: of one that exists
        twice; left out: the live one."""
        session = self._connected()
        if table is None and (named := table_of(statement)) is not None:
            table = self.generations.of[named].live
        prepared = self._prepared[statement, table]
        return self._bridge.future(session.execute_async(prepared, values, timeout=self.request_timeout))

    def truncate(self, table: str) -> asyncio.Future[Any]:
        """Removes all rows of a table; it needs every node of the cluster."""
        statement = f"TRUNCATE {self._settings.cassandra_keyspace}.{table}"
        return self._bridge.future(self._connected().execute_async(statement, timeout=TRUNCATE_SECONDS))

    def _connected(self) -> Session:
        if self._session is None:
            raise Unavailable("STORE_UNAVAILABLE", "Cassandra has not been reached yet", retry_after=2)
        return self._session


def _same_period(rows: Iterable[Any], chosen: str) -> None:
    for row in rows:
        if row.length != chosen:
            raise PenstockError(
                "MIGRATION_REFUSED",
                f"the keyspace holds rows by {row.length}; with PENSTOCK_CASSANDRA_PERIOD={chosen} none would be found",
            )


def _insert(table: str, columns: tuple[str, ...]) -> str:
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO {{keyspace}}.{table} ({', '.join(columns)}) VALUES ({places}) USING TIMESTAMP ?"  # noqa: S608 - our names
