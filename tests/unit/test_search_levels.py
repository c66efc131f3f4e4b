"""A condition on a level finds it as every program spells it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.contracts import load
from penstock.rpc.messages import Filter
from penstock.services.indexer.search.levels import spellings_of
from penstock.services.indexer.search.query import condition
from penstock.services.indexer.search.scope import resolve


@pytest.mark.parametrize(
    ("asked", "written"),
    [("error", "ERR"), ("ERROR", "e"), ("E", "Error"), ("err", "SEVERE"), ("warn", "WARNING"), ("WRN", "W"),
     ("info", "Information"), ("fatal", "CRITICAL"), ("crit", "FTL"), ("debug", "DEBUG2"), ("trace", "FINEST"),
     ("debug", "D2"), ("error", "fail"), ("trace", "silly")],
)  # fmt: skip
def test_spellings_of_one_level_are_the_same(asked: str, written: str) -> None:
    assert written.lower() in spellings_of(asked)


@pytest.mark.parametrize(("one", "other"), [("error", "warn"), ("info", "notice"), ("fatal", "error"), ("30", "info")])
def test_levels_stay_apart(one: str, other: str) -> None:
    assert not set(spellings_of(one)) & set(spellings_of(other))


def test_only_the_level_is_compared_so() -> None:
    contracts = load()
    scope = resolve(contracts, ["logs"], None, None)

    def clause(name: str, value: Any) -> Any:
        return condition(Filter(field=name, op="eq", value=value), scope.field(name, "events"))

    terms = clause("level", "Error")["bool"]["should"]
    assert {"term": {"event.data.level": {"value": "err", "case_insensitive": True}}} in terms
    assert clause("level", "30") == {"term": {"event.data.level": {"value": "30", "case_insensitive": True}}}
    assert clause("thread", "error") == {"term": {"event.data.thread": "error"}}
