"""When two looks at a table say that something was lost between them."""

from __future__ import annotations

import pytest

from penstock.services.writer.table_ledger import CLOCKS_MS, Known, State

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


LOST = State(id="a", emptied_ms=9000, incomplete_since="2026-01-01T00:00:00.000Z", ends={"EVENTS_HTTP": 5})
MADE = State(id="b", emptied_ms=9500)


def test_events_that_were_rebuilt_from_a_table_without_its_rows_lack_them_too() -> None:
    known = Known(live="events", states={"events": LOST})
    assert known.next("events", "events_b", MADE) == (
        MADE.model_copy(update={"incomplete_since": LOST.incomplete_since, "ends": LOST.ends}),
        False,
    )


def test_a_timeline_that_was_rebuilt_has_all_its_rows() -> None:
    assert Known(live="timeline", states={"timeline": LOST}).next("timeline", "timeline_b", MADE) == (MADE, False)


def test_a_table_that_is_live_again_and_was_not_emptied_is_as_it_was() -> None:
    known = Known(live="events_b", states={"events": BEFORE, "events_b": LOST})
    assert known.next("events", "events", BEFORE) == (BEFORE, False)


def test_a_live_table_that_was_emptied_has_lost_rows() -> None:
    now = BEFORE.model_copy(update={"emptied_ms": 9000})
    assert Known(live="events", states={"events": BEFORE}).next("events", "events", now) == (now, True)
