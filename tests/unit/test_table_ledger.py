"""When two looks at a table say that something was lost between them."""

from __future__ import annotations

import pytest

from penstock.services.writer.table_ledger import CLOCKS_MS, State

BEFORE = State(id="a", emptied_ms=1000, column_lost_ms=1000)


@pytest.mark.parametrize(
    "now",
    [
        {"id": "b", "emptied_ms": 0, "column_lost_ms": 0},
        {"id": "a", "emptied_ms": 1001 + CLOCKS_MS, "column_lost_ms": 1000},
        {"id": "a", "emptied_ms": 1000, "column_lost_ms": 1001},
    ],
)
def test_a_table_that_was_made_anew_emptied_or_lost_a_column_has_lost_rows(now: dict[str, int | str]) -> None:
    assert not State.model_validate(now).is_that_of(BEFORE)


@pytest.mark.parametrize("emptied_ms", [0, 1000, 1000 + CLOCKS_MS])
def test_another_node_may_say_another_time_or_none(emptied_ms: int) -> None:
    assert State(id="a", emptied_ms=emptied_ms, column_lost_ms=1000).is_that_of(BEFORE)
