"""What an index says of the mapping that it was created with, compared with today's."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.elasticsearch import names
from penstock.elasticsearch.mapping_version import MemberChange, compare, digest_of, members_of, versioned
from penstock.elasticsearch.templates import component_name, templates
from tests.support.deliveries import CONTRACTS

KEYWORD = {"type": "keyword", "ignore_above": 100}
MAPPING: dict[str, Any] = {
    "dynamic": False,
    "properties": {"key": KEYWORD, "event": {"properties": {"data": {"properties": {"level": KEYWORD}}}}},
}


def with_data(**members: Any) -> dict[str, Any]:
    event = {"properties": {"data": {"properties": members}}}
    return {**MAPPING, "properties": {"key": KEYWORD, "event": event}}


def test_a_mapping_lists_its_members_by_path() -> None:
    assert members_of(MAPPING) == {"key": KEYWORD, "event.data.level": KEYWORD}
    assert versioned(MAPPING)["_meta"]["penstock"] == {"digest": digest_of(MAPPING), "members": members_of(MAPPING)}
    assert digest_of(versioned(MAPPING)) == digest_of(MAPPING)


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (with_data(level=KEYWORD, line={"type": "long"}), [MemberChange("event.data.line", "", "long")]),
        (with_data(), [MemberChange("event.data.level", "keyword", "")]),
        (with_data(level={"type": "text"}), [MemberChange("event.data.level", "keyword", "text")]),
        (
            with_data(level={"type": "keyword"}),
            [MemberChange("event.data.level", '{"type":"keyword","ignore_above":100}', '{"type":"keyword"}')],
        ),
        ({**MAPPING, "dynamic": True}, []),
    ],
)
def test_an_index_differs_by_the_mapping_it_was_created_with(now: dict[str, Any], changes: list[MemberChange]) -> None:
    assert compare(versioned(MAPPING), versioned(now)) == ("differs", changes)
    # Members that were added to the index since do not count: its documents were not indexed by them.
    extended = {**versioned(MAPPING), "properties": now["properties"]}
    assert compare(extended, versioned(now)) == ("differs", changes)


def test_an_index_of_todays_mapping_is_current() -> None:
    assert compare(versioned(MAPPING), versioned(MAPPING)) == ("current", [])


def test_an_index_that_says_nothing_is_unknown_and_compared_by_type() -> None:
    now = versioned(with_data(level={"type": "keyword"}, line={"type": "long"}))
    assert compare(MAPPING, now) == ("unknown", [MemberChange("event.data.line", "", "long")])


@pytest.mark.parametrize(
    ("alias", "dataset", "period"),
    [("events-logs-2026", "logs", "2026"), ("scored-lines_v3-metrics-2026-11", "metrics", "2026-11")],
)
def test_a_write_alias_names_its_template(alias: str, dataset: str, period: str) -> None:
    assert names.dataset_and_period(alias) == (dataset, period)
    body = templates(CONTRACTS)["component"][component_name(alias)]
    assert len(body["template"]["mappings"]["_meta"]["penstock"]["digest"]) == 12
