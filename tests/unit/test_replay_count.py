"""The number that brackets agree on, although a few are wrong."""

from __future__ import annotations

import random

import pytest

from penstock.services.operator.replay.counting import LEAD, Tally


def test_brackets_that_agree_give_the_number() -> None:
    tally = Tally()
    for _ in range(LEAD):
        assert tally.leader is None
        tally.add(128, 128)
    assert tally.leader == 128


def test_wide_brackets_give_no_number_and_a_least_one() -> None:
    tally = Tally()
    for least in (100, 127, 90):
        tally.add(least, least + 30)
    assert tally.leader is None
    assert tally.least == 100


@pytest.mark.parametrize("seed", range(20))
def test_readings_that_are_wrong_now_and_then_do_not_win(seed: int) -> None:
    chosen, tally = random.Random(seed), Tally()
    while tally.leader is None:
        number = 128 + (chosen.random() < 0.05) - (chosen.random() < 0.05)
        tally.add(number, number)
    assert tally.leader == 128
    assert tally.least == 128
