"""Which of two tables rows go to, and how long a process relies on what it has read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from penstock.replay.rebuild import LEASE
from penstock.services.writer.generations import Generations, both, table_of
from penstock.services.writer.queries.statements import ALIVE, ENTRY, GET, SCORES, TIMELINE


class Rows:
    """The table of generations, and how often it was read."""

    def __init__(self, *rows: tuple[str, str, str | None]) -> None:
        self.rows = rows
        self.reads = 0

    async def __call__(self) -> list[Any]:
        self.reads += 1
        return [SimpleNamespace(name=name, live=live, beside=beside) for name, live, beside in self.rows]


@pytest.mark.parametrize(
    ("row", "written", "filled"),
    [
        (("timeline", "timeline", None), ("timeline",), None),
        (("timeline", "timeline", "timeline_b"), ("timeline", "timeline_b"), ("timeline_b",)),
        (("timeline", "timeline_b", "timeline"), ("timeline_b", "timeline"), ("timeline",)),
        (("timeline", "timeline_b", None), ("timeline_b",), None),
    ],
)
async def test_rows_go_to_the_live_table_and_to_the_one_beside_it(
    row: tuple[str, str, str | None], written: tuple[str, ...], filled: tuple[str, ...] | None
) -> None:
    generations = Generations(Rows(row))
    await generations.look()
    assert generations.written["timeline"] == written
    assert generations.filled.get("timeline") == filled
    assert generations.written["events"] == ("events",)
    assert generations.written["scores"] == ("scores",)


async def test_what_was_read_is_relied_on_for_the_lease_and_no_longer() -> None:
    now, rows = [100.0], Rows()
    generations = Generations(rows, lambda: now[0])
    await generations.refresh()
    now[0] += LEASE - 0.01
    await generations.refresh()
    assert rows.reads == 1
    now[0] += 0.01
    await generations.refresh()
    assert rows.reads == 2


def test_a_statement_names_a_table_that_exists_twice_or_none() -> None:
    assert both("events") == ("events", "events_b")
    assert both("scores") == ("scores",)
    assert [table_of(each) for each in (GET, TIMELINE, ENTRY, SCORES, ALIVE)] == [
        "events",
        "timeline",
        "timeline",
        None,
        None,
    ]
