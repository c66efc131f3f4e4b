"""What of a run to a subscriber counts as acknowledged, and what the bucket keeps of it."""

from __future__ import annotations

from base64 import b64encode

import orjson
import pytest

from penstock.replay.outcomes import Outcomes, decode, encode
from penstock.services.operator.replay.subscriber_place import Page, Place

PAGES = (
    Page(10, 1000, "EVENTS_HTTP", (3, 4)),
    Page(20, 1001, "EVENTS_HTTP", (5,)),
    Page(30, 2000, "EVENTS_NATS", (1,)),
)
PLACE = Place(life="100/1", pages=PAGES)


@pytest.mark.parametrize(
    ("floor", "oldest", "life", "expected"),
    [
        (9, 0, "100/1", []),
        (10, 0, "100/1", [10]),
        (29, 0, "100/1", [10, 20]),
        (99, 1001, "100/1", [20, 30]),  # the first may have expired
        (99, 0, "101/7", []),  # REPLAY was created anew: its sequences say nothing of these
    ],
)
def test_only_what_can_have_left_by_an_acknowledgement_is_acknowledged(
    floor: int, oldest: int, life: str, expected: list[int]
) -> None:
    assert [page.end for page in PLACE.acknowledged(floor, oldest, life)] == expected


def test_a_page_leaves_the_place_and_another_that_came_meanwhile_stays() -> None:
    settled = PLACE.acknowledged(20, 0, "100/1")
    later = PLACE.behind(9, 2, Page(40, 2001, "EVENTS_NATS", (8, 9)))
    assert [page.end for page in later.without(settled).pages] == [30, 40]
    assert (later.fed, later.after) == (2, 9)


def test_the_ranges_end_one_after_the_other() -> None:
    first = Place(after=7).next_part(2)
    assert (first.part, first.after, first.done) == (1, 0, False)
    assert first.next_part(2).done


def test_a_record_of_something_longer_than_a_sequence_is_refused_before_it_takes_time() -> None:
    with pytest.raises(ValueError, match="more than 64 bits"):
        decode(orjson.dumps({"EVENTS_NATS": {"parked": b64encode(b"\xff" * 11).decode()}}))
    highest: Outcomes = {"EVENTS_NATS": {"parked": [1, (1 << 64) - 1]}}
    assert decode(encode(highest)) == highest


def test_an_outcome_record_may_be_a_plain_list() -> None:
    assert decode(b'{"EVENTS_NATS": {"parked": [7, 9]}}') == {"EVENTS_NATS": {"parked": [7, 9]}}
    with pytest.raises(ValueError, match="no integer"):
        decode(b'{"EVENTS_NATS": {"parked": ["7"]}}')
