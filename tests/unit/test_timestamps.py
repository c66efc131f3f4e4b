"""Timestamps keep every digit, and only RFC 3339 passes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Refused
from penstock.events import timestamps


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_text_and_back_loses_nothing(ns: int) -> None:
    assert timestamps.parse(timestamps.text(ns)) == ns


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_reads_what_the_standard_library_writes(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1)
    ns = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    assert timestamps.parse(moment.replace(tzinfo=UTC).isoformat()) == ns


def test_time_zones_are_converted_to_utc() -> None:
    noon = timestamps.parse("2026-01-31T12:00:00Z")
    assert timestamps.parse("2026-01-31T13:30:00+01:30") == noon
    assert timestamps.parse("2026-01-31T04:00:00.000-08:00") == noon


def test_letters_are_of_either_case_and_leap_seconds_are_the_next_second() -> None:
    assert timestamps.parse("2026-01-31t12:00:00z") == timestamps.parse("2026-01-31T12:00:00Z")
    midnight = timestamps.parse("2017-01-01T00:00:00Z")
    assert timestamps.parse("2016-12-31T23:59:60Z") == midnight
    assert timestamps.parse("2017-01-01T00:59:60.5+01:00") == midnight + 500_000_000
    assert timestamps.parse("2016-12-31T15:59:60-08:00") == midnight


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T23:59:60+01:00",
        "2026-01-31T23:59:61Z",
        "2026-01-31T12:00:00Z\n",
        "٢٠٢٦-01-31T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "now",
    ],
)
def test_invalid_timestamps_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="TIME_INVALID"):
        timestamps.parse(text)
