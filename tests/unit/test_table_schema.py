"""The tables as the migrations make them, and what brings back those that are gone."""

from __future__ import annotations

import pytest

from penstock.services.writer.migrate import read
from penstock.services.writer.rows import COLUMNS
from penstock.services.writer.table_schema import again, wanted, wrong

STATEMENTS = [statement for each in read() for statement in each.statements]
WANTED = wanted(STATEMENTS)


def without(table: str, column: str | None = None) -> dict[str, dict[str, str]]:
    found = {name: dict(columns) for name, columns in WANTED.items()}
    if column is None:
        del found[table]
    else:
        del found[table][column]
    return found


def test_all_columns_that_are_written_are_wanted() -> None:
    assert all(set(columns) == set(WANTED[table]) for table, columns in COLUMNS.items())
    assert WANTED["timeline"]["event"] == WANTED["timeline_b"]["key"] == "uuid"
    assert wrong(WANTED, WANTED) == []
    assert again(STATEMENTS, WANTED) == []


def test_a_table_that_is_gone_is_made_again_with_what_was_added_to_it() -> None:
    found = without("events")
    assert wrong(WANTED, found) == ["Cassandra's table events is gone, and with it its rows"]
    assert [name for name, _ in again(STATEMENTS, found)] == ["table events"] * 2
    assert again(STATEMENTS, found)[1][1] == "ALTER TABLE events ADD IF NOT EXISTS position uuid"


def test_which_table_is_live_is_not_guessed_again() -> None:
    assert [statement.split()[0] for _, statement in again(STATEMENTS, without("generations"))] == ["CREATE"]


def test_a_column_that_is_gone_or_of_another_type_is_named() -> None:
    found = without("scores", "score")
    found["audit"]["sequence"] = "int"
    assert wrong(WANTED, found) == [
        "Cassandra's table scores has lost its column score",
        "the column sequence of Cassandra's table audit is of type int, and has to be bigint",
    ]
    assert again(STATEMENTS, found) == [("column scores.score", "ALTER TABLE scores ADD IF NOT EXISTS score blob")]


def test_a_table_that_a_later_migration_made_in_another_way_is_made_in_that_way() -> None:
    other = "CREATE TABLE IF NOT EXISTS events_b (\n    key uuid,\n    note text,\n    PRIMARY KEY (key)\n)"
    statements = [*STATEMENTS, "DROP TABLE events_b", other]
    assert wanted(statements)["events_b"] == {"key": "uuid", "note": "text"}
    assert again(statements, without("events_b")) == [("table events_b", other)]


def test_a_statement_that_is_written_in_another_way_is_left_out() -> None:
    statements = ["CREATE TABLE a (id int PRIMARY KEY)", "ALTER TABLE a ADD note text"]
    assert wanted(statements) == {}
    assert again(statements, {}) == []


@pytest.mark.parametrize("type", ["map<text,int>", "map<text, int>", "frozen<map<text, list<int>>>", "int static"])
def test_a_column_whose_type_cassandra_may_write_in_another_way_is_left_out_but_made_again(type: str) -> None:
    added = f"ALTER TABLE a ADD more {type}"
    statements = [f"CREATE TABLE a (id int, note {type}, name text, PRIMARY KEY (id))", added]
    assert wanted(statements) == {"a": {"id": "int", "name": "text"}}
    assert [statement for _, statement in again(statements, {})] == statements
