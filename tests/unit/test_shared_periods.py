"""Which periods are current, and which index past ones share."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock.elasticsearch.shared_periods import is_current, is_period, is_shared, periods_within, shared_alias
from penstock.errors import Refused
from penstock.services.operator.replay.bounds import of_period


@pytest.mark.parametrize(
    ("alias", "shared"),
    [
        ("events-logs-2003", "events-logs-2000s"),
        ("events-metrics-2013-05", "events-metrics-2010s"),
        ("scored-lines_v3-metrics-2026-11", "scored-lines_v3-metrics-2020s"),
        ("events-metrics-2013-05-21", "events-metrics-2013"),
    ],
)
def test_a_period_shares_the_index_of_its_decade_and_a_day_that_of_its_year(alias: str, shared: str) -> None:
    assert shared_alias(alias) == shared


def test_the_periods_of_a_shared_index_are_known_from_its_name() -> None:
    months = periods_within("scored-lines_v3-metrics-2010s")
    assert (len(months), months[0], months[-1]) == (
        120,
        *(f"scored-lines_v3-metrics-{m}" for m in ("2010-01", "2019-12")),
    )
    assert periods_within("events-logs-2010s") == [f"events-logs-{year}" for year in range(2010, 2020)]
    assert all(shared_alias(month) == "scored-lines_v3-metrics-2010s" for month in months)
    assert is_shared("events-logs-2010s")
    assert not is_shared("events-logs-2010")
    assert not is_shared(months[0])
    assert [is_period(text, "month") for text in ("2013-05", "2010s", "2013", "2013-05-21")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("alias", "current"),
    [("2025-11", False), ("2025-12", True), ("2026-01", True), ("2026-02", True)],
)
def test_the_period_before_the_present_one_is_current_too(alias: str, current: bool) -> None:
    now = int(datetime(2026, 1, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)
    assert is_current(f"events-metrics-{alias}", now) is current


def test_a_decade_is_a_period_of_a_plan() -> None:
    begin, end = (datetime.fromtimestamp(ns / 1e9, UTC) for ns in of_period("2010s"))
    assert (begin.year, end.year, end.month, end.day) == (2010, 2020, 1, 1)
    with pytest.raises(Refused, match="no period of a calendar"):
        of_period("2013-13")
