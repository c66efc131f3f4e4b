"""How counts become surprise."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.services.trainer.counting import SEEN, count_cells, count_rarest

FIELD = 2_100_000_011  # hashes have 31 bits


def of(found: object, cell: int) -> float:
    return float(found.surprise[list(found.cells).index(cell)])  # type: ignore[attr-defined]


def test_rarer_cells_are_more_surprising() -> None:
    cells = np.array([1] * 990 + [2] * 9 + [3])
    found = count_cells(cells, np.full(1000, FIELD))
    assert of(found, 1) == pytest.approx(SEEN)  # everything is at most as frequent as the most frequent
    assert of(found, 2) == pytest.approx(-np.log(10 / 1000))
    assert of(found, 3) == pytest.approx(-np.log(1 / 1000))
    assert found.novel[0] == pytest.approx(-np.log(1 / 1001))


def test_without_repetition_nothing_is_surprising() -> None:
    found = count_cells(np.arange(1000), np.full(1000, FIELD))
    assert len(found.cells) == len(found.fields) == 0


def test_fields_are_counted_apart_and_absent_cells_not_at_all() -> None:
    cells = np.array([1] * 100 + [1] + [2] * 99 + [-1] * 50)
    fields = np.array([FIELD] * 100 + [FIELD + 1] * 100 + [-1] * 50)
    found = count_cells(cells, fields)
    assert sorted(found.fields) == [FIELD, FIELD + 1]
    assert sorted(found.surprise.round(3)) == [SEEN, SEEN, round(-np.log(1 / 100), 3)]


def test_the_rarest_token_of_a_line_decides() -> None:
    # 98 lines "1 2", one "1 3", one "1 4 4": a line with something met once is one in fifty.
    tokens = np.array([[1, 2, 0]] * 98 + [[1, 3, 0], [1, 4, 4]])
    found = count_rarest(tokens, np.full(100, FIELD), tokens)
    assert of(found, 2) == pytest.approx(SEEN)
    assert of(found, 3) == of(found, 4) == pytest.approx(-np.log(2 / 100))
