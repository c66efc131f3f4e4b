"""Times as people type them on the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import typer

from penstock.cli.moments import moment


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-21", "2026-11-21T00:00:00+01:00"),
        ("2026-07-21", "2026-07-21T00:00:00+02:00"),
        ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"),
        ("2026-11-21t08:00", "2026-11-21t08:00"),  # for the API to judge
    ],
)
def test_a_day_begins_here_and_a_time_is_passed_on(typed: str, meant: str) -> None:
    assert moment(typed) == meant


def test_no_time_is_none() -> None:
    assert moment(None) is None


@pytest.mark.parametrize("typed", ["yesterday", "1d", "2026-02-30", "21.11.2026", ""])
def test_anything_else_is_refused_with_both_forms(typed: str) -> None:
    with pytest.raises(typer.BadParameter, match="a day like 2026-11-21 nor a time like 2026-11-21T08:00:00Z"):
        moment(typed)
