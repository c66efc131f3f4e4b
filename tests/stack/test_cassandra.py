"""The local Cassandra keeps what the architecture asks of any Cassandra: rights, and acknowledged means on disk."""

from __future__ import annotations

import pytest
from cassandra import Unauthorized
from cassandra.cluster import NoHostAvailable, Session

from penstock.services.writer import cassandra_roles
from penstock.services.writer.store import open_cluster
from penstock.stack import secret
from penstock.stack.place import Place
from tests.support.processes import Processes
from tests.support.until import until


def count(session: Session, table: str) -> int:
    return int(session.execute(f"SELECT count(*) FROM {table}").one()[0])


def test_the_built_in_superuser_is_gone(cassandra: Processes) -> None:
    with (
        pytest.raises(NoHostAvailable),
        cassandra_roles.session(cassandra.place, cassandra_roles.BUILT_IN, cassandra_roles.BUILT_IN),
    ):
        pass


def test_the_writer_reads_and_writes_its_keyspace_and_nothing_else(cassandra: Processes) -> None:
    place = cassandra.place
    with cassandra_roles.admin(place) as admin:
        admin.execute(f"CREATE TABLE {place.cassandra_keyspace}.rights (id int PRIMARY KEY)")
    try:
        with as_writer(place) as writer:
            writer.execute(f"INSERT INTO {place.cassandra_keyspace}.rights (id) VALUES (1)")
            assert count(writer, f"{place.cassandra_keyspace}.rights") == 1
            for statement in (
                "SELECT * FROM system_auth.roles",
                f"CREATE TABLE {place.cassandra_keyspace}.another (id int PRIMARY KEY)",
                f"DROP TABLE {place.cassandra_keyspace}.rights",
                "CREATE ROLE friend",
            ):
                with pytest.raises(Unauthorized):
                    writer.execute(statement)
    finally:
        with cassandra_roles.admin(place) as admin:
            admin.execute(f"DROP TABLE {place.cassandra_keyspace}.rights")


async def test_a_changed_writer_password_is_used_by_the_next_connection(
    cassandra: Processes,
) -> None:
    place = cassandra.place
    file = place.cassandra_password
    old = file.read_text()
    cluster = open_cluster(place)  # the writer's own, made once and kept
    try:
        for password in (f"another-{old}", old):
            file.write_text(password)
            await until(lambda: cassandra_roles.prepare(place))  # as `penstock up` does
            session = cluster.connect(place.cassandra_keyspace)  # with new connections
            assert count(session, "system.local") == 1
            session.shutdown()
        with pytest.raises(NoHostAvailable), cassandra_roles.session(place, "writer", f"another-{old}"):
            pass
    finally:
        cluster.shutdown()
        file.write_text(old)
        await until(lambda: cassandra_roles.prepare(place))


def test_every_acknowledged_row_survives_a_kill(cassandra: Processes) -> None:
    place = cassandra.place
    table = f"{place.cassandra_keyspace}.survivors"
    with cassandra_roles.admin(place) as admin:
        admin.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    try:
        with as_writer(place) as writer:
            insert = writer.prepare(f"INSERT INTO {table} (id) VALUES (?)")
            for answer in [writer.execute_async(insert, (number,)) for number in range(500)]:
                answer.result()
        cassandra.kill("cassandra")
        cassandra.restart("cassandra")
        with as_writer(place) as writer:
            assert count(writer, table) == 500
    finally:
        with cassandra_roles.admin(place) as admin:
            admin.execute(f"DROP TABLE {table}")


def as_writer(place: Place):  # type: ignore[no-untyped-def]
    return cassandra_roles.session(place, cassandra_roles.WRITER, secret.password(place, "cassandra_writer"))
