"""What a report counts at the store: just what was replayed, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.rpc.messages import CountQuery, RecordMatch
from penstock.services.operator.replay import store_question

TYPES = [f"log.line{n}.v1" for n in range(33)]
BEGIN, END = "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"


@pytest.mark.parametrize(
    "match",
    [
        {"model": "lines", "version": 3},
        {"version": 3},
        {"within": ["2011", "2012"]},  # of an index that a decade shares
        {"types": TYPES},
    ],
)
def test_records_that_no_question_names_are_not_counted(match: dict[str, Any]) -> None:
    assert store_question.of_records(RecordMatch(begin=BEGIN, end=END, **match)) is None


def test_records_are_counted_by_all_that_they_were_chosen_by() -> None:
    match = RecordMatch(begin=BEGIN, end=END, datasets=["logs"], types=TYPES[:32], publishers=["shop"], entity="web-1")
    question = store_question.of_records(match)
    assert question == {
        "datasets": ["logs"],
        "types": TYPES[:32],
        "time": {"from": BEGIN, "to": END},
        "entity": "web-1",
        "filters": [{"field": "@publisher", "op": "in", "value": ["shop"]}],
    }
    CountQuery.read(question)
    assert store_question.of_records(RecordMatch()) == {}


def test_messages_of_a_stream_are_counted_by_subjects_and_by_what_the_target_filters() -> None:
    filters = [f"evt.07.http.{publisher}.{type}" for publisher in ("shop", "till") for type in TYPES[:32]]
    question = store_question.of_subjects(filters, {"entity": "web-1", "key": "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"})
    assert question == {
        "types": sorted(TYPES[:32]),
        "entity": "web-1",
        "filters": [
            {"field": "@publisher", "op": "in", "value": ["shop", "till"]},
            {"field": "@key", "op": "eq", "value": "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"},
        ],
    }
    CountQuery.read(question)
    assert store_question.of_subjects(["evt.*.http.>"], {}) == {"filters": []}
    assert store_question.of_subjects([f"evt.*.http.*.{type}" for type in TYPES], {}) is None
