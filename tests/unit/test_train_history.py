"""How a sample is shared out between event types."""

from __future__ import annotations

from penstock.services.trainer.history import share_out


def test_small_types_are_taken_whole_and_large_ones_share_the_rest() -> None:
    assert share_out({"a": 100_000, "b": 50, "c": 80_000}, 10_050) == {"a": 5_000, "b": 50, "c": 5_000}


def test_everything_is_taken_where_it_fits() -> None:
    assert share_out({"a": 3, "b": 0, "c": 4}, 100) == {"a": 3, "b": 0, "c": 4}


def test_no_more_events_than_the_limit_are_taken() -> None:
    assert sum(share_out({"a": 9, "b": 9, "c": 9}, 10).values()) == 10
