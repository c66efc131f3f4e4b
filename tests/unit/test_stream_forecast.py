"""When a stream will be full: the faster of two paces counts, and what expires in time never fills it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from penstock.broker import StreamInfo
from penstock.services.operator.streams.forecast import HOUR, Growth, forecast

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = 24.0


def info(*, messages: int, size: int, age_hours: float, max_bytes: int, max_age_days: int = 0) -> StreamInfo:
    config = {"max_bytes": max_bytes, "max_age": max_age_days * 86_400 * 10**9}
    first = (NOW - timedelta(hours=age_hours)).isoformat()
    return StreamInfo("S", 1, 1, messages, messages, messages * size, first, first, config)


def test_the_pace_over_all_that_is_held() -> None:
    found = forecast(info(messages=1000, size=100, age_hours=10, max_bytes=400_000), 0.0, NOW)
    assert found.share == 0.25
    assert found.pace == pytest.approx(100_000 / (10 * HOUR))
    assert found.hours == pytest.approx(30)


def test_a_burst_of_the_first_minute_counts_as_the_pace_of_an_hour() -> None:
    found = forecast(info(messages=1000, size=100, age_hours=0.01, max_bytes=400_000), 0.0, NOW)
    assert found.hours == pytest.approx(3)


def test_the_last_hour_counts_when_it_is_faster() -> None:
    slow = info(messages=1000, size=100, age_hours=100 * DAY, max_bytes=460_000)
    assert forecast(slow, 0.01, NOW).hours == pytest.approx(100)


def test_what_expires_before_it_is_full_never_fills() -> None:
    a_day_old = {"messages": 1000, "size": 100, "age_hours": DAY, "max_bytes": 400_000}
    assert forecast(info(**a_day_old, max_age_days=3), 0.0, NOW).hours == math.inf  # type: ignore[arg-type]
    assert forecast(info(**a_day_old, max_age_days=5), 0.0, NOW).hours == pytest.approx(3 * DAY)  # type: ignore[arg-type]


def test_an_empty_stream_and_one_without_a_bound_are_never_full() -> None:
    assert forecast(info(messages=0, size=0, age_hours=0, max_bytes=400_000), 5.0, NOW).hours == math.inf
    assert forecast(info(messages=10, size=10, age_hours=1, max_bytes=-1), 5.0, NOW).hours == math.inf


def test_growth_is_that_of_the_last_hour_and_begins_afresh_with_a_new_stream() -> None:
    growth = Growth()

    def look(now: float, last: int) -> float:
        return growth.add(now, info(messages=last, size=1, age_hours=1, max_bytes=10))

    assert look(0, 1000) == 0.0
    assert look(500, 6000) == 0.0
    assert look(1000, 11_000) == 10.0
    assert look(4500, 11_000) == pytest.approx(0.0)
    assert look(5000, 5) == 0.0
