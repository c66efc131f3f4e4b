"""Which run has brought back all rows of a table, and when a column was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from penstock.broker import StreamInfo
from penstock.replay.run import Range
from penstock.services.writer.repairs import covers
from penstock.services.writer.table_check import unix_ms

SUBJECTS = {"evt.a", "evt.b"}
END = 70  # of the stream when the rows were lost


def stream(first: int, last: int) -> StreamInfo:
    return StreamInfo("EVENTS_HTTP", 2, first, last, last - first + 1, 100, "", "", {})


def part(first: int = 1, last: int = END, **changed: Any) -> Range:
    whole = {"stream": "EVENTS_HTTP", "epoch": 2, "first": first, "last": last, "filters": ("evt.a", "evt.b")}
    return Range.model_validate(whole | {"planned": 1} | changed)


def covered(*parts: Range, info: StreamInfo | None = None) -> bool:
    return covers(parts, info or stream(10, 90), END, SUBJECTS)


def test_a_run_over_all_that_was_stored_when_the_rows_were_lost_is_a_repair() -> None:
    assert covered(part())
    assert covered(part(10), part(80, 90))


@pytest.mark.parametrize(
    "partial",
    [part(11), part(last=END - 1), part(epoch=1), part(stream="EVENTS_NATS"), part(filters=("evt.a",))],
    ids=["begins later", "ends before", "another life", "another stream", "not all subjects"],
)
def test_a_run_over_a_part_is_none(partial: Range) -> None:
    assert not covered(partial)
    assert not covered(partial, part(80, 90))
    assert not covered()


def test_what_a_stream_no_longer_holds_need_not_be_replayed() -> None:
    assert covered(info=stream(END + 1, 90))
    assert covered(info=stream(1, 0))


@pytest.fixture
def _far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_east")
def test_the_drivers_times_are_in_utc_wherever_the_writer_runs() -> None:
    assert unix_ms(datetime(1970, 1, 1, 0, 0, 1, 500_000)) == 1500
