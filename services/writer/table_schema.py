"""migrations → which tables there must be, with which columns; and what makes those that are missing again"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Tables = Mapping[str, Mapping[str, str]]  # by table and column its type

_CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*?),\s*PRIMARY KEY", re.DOTALL)
_ADD = re.compile(r"ALTER TABLE (\w+) ADD (?:IF NOT EXISTS )?(\w.*)", re.DOTALL)
_COLUMN = re.compile(r"(\w+)\s+(\w+)")  # of a plain type; Cassandra may write others, as map<text,int>, in another way


def wanted(statements: Iterable[str]) -> Tables:
    """The tables as all statements together make them; what is written in another way is left out."""
    tables: dict[str, dict[str, str]] = {}
    for statement in statements:
        if made := _CREATE.match(statement):
            columns = (_COLUMN.fullmatch(part.strip()) for part in made[2].split(","))
            tables[made[1]] = {column[1]: column[2] for column in columns if column is not None}
        elif (added := _ADD.match(statement)) and added[1] in tables and (column := _COLUMN.fullmatch(added[2])):
            tables[added[1]][column[1]] = column[2]
    return tables


def wrong(wants: Tables, found: Tables) -> list[str]:
    """What is missing or of another type, in a sentence each; columns beyond those are nobody's concern."""
    said = []
    for table, columns in wants.items():
        if table not in found:
            said.append(f"Cassandra's table {table} is gone, and with it its rows")
            continue
        for name, kind in columns.items():
            there = found[table].get(name)
            if there is None:
                said.append(f"Cassandra's table {table} has lost its column {name}")
            elif there != kind:
                said.append(f"the column {name} of Cassandra's table {table} is of type {there}, and has to be {kind}")
    return said


def again(statements: Iterable[str], found: Tables) -> list[tuple[str, str]]:
    """What brings back tables and columns that are missing: its name, and the statement. Rows are not among it."""
    given = list(statements)
    steps = []
    for table, columns in wanted(given).items():
        if table not in found:
            made = max(number for number, each in enumerate(given) if _is_about(_CREATE, each, table))
            added = [each for each in given[made:] if _is_about(_ADD, each, table)]
            steps += [(f"table {table}", each) for each in (given[made], *added)]
        for name in columns.keys() - found.get(table, columns).keys():
            steps.append((f"column {table}.{name}", f"ALTER TABLE {table} ADD IF NOT EXISTS {name} {columns[name]}"))
    return steps


def _is_about(kind: re.Pattern[str], statement: str, table: str) -> bool:
    found = kind.match(statement)
    return found is not None and found[1] == table
