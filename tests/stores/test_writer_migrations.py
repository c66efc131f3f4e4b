"""The tables of the writer: each file once, in order, never changed afterwards, and by one run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cassandra.cluster import Session

from penstock.errors import PenstockError
from penstock.services.writer import cassandra_roles
from penstock.services.writer.migrate import migrate, read
from tests.support.processes import Processes

KEYSPACE = "migrations_tried"


@pytest.fixture
def session(cassandra: Processes) -> Iterator[Session]:
    """A keyspace of its own, as a role that may make tables."""
    with cassandra_roles.admin(cassandra.place) as admin:
        admin.execute(
            f"CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        admin.set_keyspace(KEYSPACE)
        yield admin
        admin.execute(f"DROP KEYSPACE {KEYSPACE}")


def files(folder: Path, *texts: str) -> Path:
    for number, text in enumerate(texts, 1):
        (folder / f"{number:04d}_step.cql").write_text(text)
    return folder


def test_what_is_missing_is_applied_once(session: Session, tmp_path: Path) -> None:
    first, second = "CREATE TABLE a (id int PRIMARY KEY);", "-- a comment; with a semicolon\nALTER TABLE a ADD b int;"
    assert migrate(session, read(files(tmp_path, first))) == ["0001_step"]
    assert migrate(session, read(files(tmp_path, first, second))) == ["0002_step"]
    assert migrate(session, read(tmp_path)) == []
    session.execute("INSERT INTO a (id, b) VALUES (1, 2)")


def test_a_file_that_changed_after_it_was_applied_is_refused(session: Session, tmp_path: Path) -> None:
    migrate(session, read(files(tmp_path, "CREATE TABLE a (id int PRIMARY KEY);")))
    with pytest.raises(PenstockError, match="0001_step changed"):
        migrate(session, read(files(tmp_path, "CREATE TABLE a (id text PRIMARY KEY);")))


def test_runs_at_the_same_time_apply_each_file_once(session: Session, cassandra: Processes) -> None:
    def run() -> list[str]:
        with cassandra_roles.admin(cassandra.place) as admin:
            admin.set_keyspace(KEYSPACE)
            return migrate(admin, read())

    with ThreadPoolExecutor(3) as pool:
        results = [future.result() for future in [pool.submit(run) for _ in range(3)]]
    assert sorted(results) == [[], [], [migration.name for migration in read()]]


def test_a_run_that_cannot_have_the_lease_says_so(session: Session) -> None:
    migrate(session, read())
    session.execute("INSERT INTO leases (name, holder) VALUES ('migrations', 'another')")
    with pytest.raises(PenstockError, match="another run"):
        migrate(session, read(), patience=0.0)


def test_a_name_out_of_order_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002_step.cql").write_text("")
    with pytest.raises(ValueError, match="0001_"):
        read(tmp_path)
