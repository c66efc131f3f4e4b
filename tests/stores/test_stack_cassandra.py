"""The local Cassandra keeps what the architecture asks of any Cassandra: rights, and acknowledged means on disk."""

from __future__ import annotations

import pytest
from cassandra import Unauthorized
from cassandra.cluster import NoHostAvailable, Session

from stack import cassandra_roles, secret
from stack.place import Place
from tests.places import Running


def count(session: Session, table: str) -> int:
    return int(session.execute(f"SELECT count(*) FROM {table}").one()[0])


def test_the_built_in_superuser_is_gone(cassandra: Running) -> None:
    with (
        pytest.raises(NoHostAvailable),
        cassandra_roles.session(cassandra.place, cassandra_roles.BUILT_IN, cassandra_roles.BUILT_IN),
    ):
        pass


def test_the_writer_reads_and_writes_its_keyspace_and_nothing_else(cassandra: Running) -> None:
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


def test_every_acknowledged_row_survives_a_kill(cassandra: Running) -> None:
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
