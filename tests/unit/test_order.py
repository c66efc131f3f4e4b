"""Positions in a timeline, and the sort values and cursors of a search by time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Refused
from penstock.events import event_key, is_key, key_time_ms, record
from penstock.rpc.messages import SearchQuery
from penstock.services.indexer.search import cursor, order
from penstock.services.writer.position import position, position_of, time_ns_of
from penstock.services.writer.queries.timeline import first_key
from penstock.services.writer.rows import event_rows
from tests.support.deliveries import event_of, line

LATEST_NS = 4_102_444_800_000_000_000  # 2100
TIMES = st.integers(0, LATEST_NS)
SEQUENCES = st.integers(1, (1 << 48) - 1)
KEY = event_key("shop", "/till", "1", 1, 0)


def at(time_ns: int, sequence: int, *, door: Any = "http", key: str = KEY) -> UUID:
    ms, ns = divmod(time_ns, 1_000_000)
    value = position(ms, ns, sequence, door, UUID(key).bytes)
    assert value[:4] == b"\0\0\0\x10"
    return UUID(bytes=value[4:])


@given(TIMES, SEQUENCES, TIMES, SEQUENCES)
def test_positions_are_in_the_order_of_times_and_then_of_sequences(
    time: int, sequence: int, other: int, other_sequence: int
) -> None:
    before = (time, sequence) < (other, other_sequence)
    if (time, sequence) != (other, other_sequence):
        assert (at(time, sequence).bytes < at(other, other_sequence).bytes) == before
    if sequence != other_sequence:
        assert (at(time, sequence).bytes < at(time, other_sequence).bytes) == (sequence < other_sequence)


@given(TIMES, SEQUENCES)
def test_a_position_begins_as_a_key_of_its_time_and_gives_its_time_back(time: int, sequence: int) -> None:
    found = at(time, sequence)
    assert is_key(str(found))
    assert key_time_ms(str(found)) == time // 1_000_000
    assert time_ns_of(found) == time
    assert first_key(time // 1_000_000) <= found < first_key(time // 1_000_000 + 1)


def test_no_two_events_of_one_stream_share_a_position_nor_do_two_streams() -> None:
    places = {at(5, sequence, door=door) for sequence in range(1, 500) for door in ("http", "nats")}
    assert len(places) == 2 * 499


def test_a_stored_record_says_the_position_that_its_rows_have() -> None:
    for time in ("2026-11-01T10:00:00Z", "2026-11-01T10:00:00.123456789Z"):
        event = event_of(line("x", time=time), sequence=70_000)
        assert position_of(orjson.loads(record(event))).bytes in event_rows(event, "month").statements[0][1]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_cursor_gives_back_the_sort_values_it_was_made_of(direction: Any) -> None:
    query = SearchQuery.read({"sort": "time", "order": direction})
    values = [1_793_534_400_000, 1_793_534_400_000_123_456, 7, KEY]
    text = cursor.write(query, values)
    found = cursor.read(query, text, order.VALUES, order.VALUES_BEFORE)
    assert order.continued(found, direction) == values
    assert len(values) == len(order.by_time(direction))


def test_a_cursor_of_before_repeats_its_millisecond() -> None:
    query = SearchQuery.read({"sort": "time"})
    found = cursor.read(query, cursor.write(query, [5, KEY]), order.VALUES, order.VALUES_BEFORE)
    assert order.continued(found, "asc") == [5, 0, 0, ""]
    time, ns, sequence, key = order.continued(found, "desc")
    assert (time, ns, sequence) == (5, (1 << 63) - 1, (1 << 63) - 1)
    assert key > "f" * 36


@pytest.mark.parametrize(
    "values",
    [
        [5, -1, 0, KEY],
        [5, 0, 1 << 63, KEY],
        [5, 0, True, KEY],
        [5, 0, 1.5, KEY],
        [5, 0, 0, "now-1d"],
        [5, 0, KEY],
        [5, "0", 0, KEY],
        [],
    ],
)
def test_sort_values_that_elasticsearch_could_not_sort_by_are_refused(values: list[Any]) -> None:
    query = SearchQuery.read({"sort": "time"})
    text = cursor.write(query, values)
    with pytest.raises(Refused, match="cursor"):
        cursor.read(query, text, order.VALUES, order.VALUES_BEFORE)
