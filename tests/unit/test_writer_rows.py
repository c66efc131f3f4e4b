"""Where rows go, and the line of text about an event."""

from __future__ import annotations

import pytest
from cassandra.cqltypes import ShortType, UTF8Type
from cassandra.protocol import ColumnMetadata
from cassandra.query import BoundStatement, PreparedStatement

from penstock.events import event_key
from penstock.rpc.messages import TimeRange
from penstock.services.writer.periods import Length, overlapping, period
from penstock.services.writer.queries.timeline import first_key
from penstock.services.writer.rows import event_rows, partition_of, routing_key
from penstock.services.writer.summary import LONGEST, summary
from tests.support.deliveries import CONTRACTS, event_of, line, sample

PREPARED = PreparedStatement(
    [ColumnMetadata("k", "t", "period", UTF8Type), ColumnMetadata("k", "t", "pp", ShortType)],
    b"id",
    [0, 1],
    "SELECT",
    "k",
    4,
    [],
    b"",
)
NOON = 1_793_534_400_000  # 2026-11-01T12:00:00Z


@pytest.mark.parametrize(("length", "name"), [("day", "2026-11-01"), ("month", "2026-11"), ("year", "2026")])
def test_a_period_is_that_of_the_event_s_own_time(length: Length, name: str) -> None:
    assert period(length, NOON) == name


def test_a_key_says_where_its_rows_are() -> None:
    event = event_of(line("x", host="some host", time="2019-02-03T04:05:06.789Z"))
    rows = event_rows(event, "month")
    assert partition_of(event.key, "month") == (rows.period, rows.pp) == ("2019-02", event.pp)


def test_the_routing_key_is_what_the_driver_would_make() -> None:
    bound = BoundStatement(PREPARED).bind(("2026-11", 45))
    assert routing_key("2026-11", 45) == bound.routing_key


def test_periods_that_a_range_of_time_touches() -> None:
    periods = ["2026-12", "2026-11", "2026-10"]
    range_ = TimeRange.model_validate({"from": "2026-10-31T23:59:59Z", "to": "2026-12-01T00:00:00Z"})
    assert overlapping("month", periods, range_) == ["2026-11", "2026-10"]
    assert overlapping("month", periods, None) == periods


def test_the_first_key_of_a_moment_lies_below_every_key_of_it_and_above_all_before() -> None:
    keys = [event_key("p", "s", str(n), (NOON + n % 2) * 1_000_000, n % 64) for n in range(200)]
    for n, text in enumerate(keys):
        assert (text >= str(first_key(NOON + 1))) == bool(n % 2)
        assert text >= str(first_key(NOON))


def test_a_line_is_summed_up_by_its_words_in_one_line() -> None:
    event = event_of(line("first\n\tsecond\u2028third" + "x" * 300))
    text = summary(event.type, event.value["data"])
    assert text.startswith("first  second third")
    assert len(text) == LONGEST


def test_an_event_without_words_is_summed_up_by_its_members() -> None:
    event = event_of(sample("cpu", 0.5, host="h"))
    assert summary(event.type, event.value["data"]) == "name=cpu value=0.5 host=h"


def test_every_type_has_a_summary() -> None:
    for event_type in CONTRACTS.types.values():
        assert summary(event_type, {}) == ""
