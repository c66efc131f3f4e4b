"""Which lanes a scorer takes, and what it remembers."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from penstock.recent_cache import RecentCache
from penstock.services.scorer.settings import ScorerSettings


@pytest.mark.parametrize(
    ("text", "lanes"),
    [("", [0, 1, 2, 3, 4, 5, 6, 7]), ("0-3", [0, 1, 2, 3]), ("5", [5]), ("0,2,6-9", [0, 2, 6, 7])],
)
def test_lanes_are_listed_or_all(text: str, lanes: list[int]) -> None:
    assert ScorerSettings(lanes=text).assigned(8) == lanes


@pytest.mark.parametrize("text", ["a", "1-", "-1", "1;2", " "])
def test_an_invalid_list_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ScorerSettings(lanes=text)


def test_the_memory_is_bounded_and_keeps_what_is_used() -> None:
    memory: RecentCache[int, str] = RecentCache(10)
    for number in range(1_000):
        memory.put(number, str(number))
        assert memory.get(0) == "0"
        assert len(memory) <= 21
    assert memory.get(999) == "999"
    assert memory.get(500) is None
