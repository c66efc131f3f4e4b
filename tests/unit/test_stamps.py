"""The time of an event that has none, when it comes once and when it comes again."""

from __future__ import annotations

from penstock.events import Stamps, stamps

NOW = 1_793_534_400_000_000_000
EVENT = b'{"id":"1"}'


def test_the_same_bytes_of_a_publisher_keep_the_time_of_the_first_try() -> None:
    given = Stamps()
    assert given.of("shop", EVENT, {"id": "1"}, NOW) == NOW
    assert given.of("shop", EVENT, {"id": "1"}, NOW + 5) == NOW
    assert given.of("till", EVENT, {"id": "1"}, NOW + 6) == NOW + 6
    assert given.of("shop", b'{"id":"2"}', {"id": "2"}, NOW + 7) == NOW + 7


def test_a_null_time_is_none_and_an_event_with_a_time_is_not_remembered() -> None:
    given = Stamps()
    assert given.of("shop", EVENT, {"time": None}, NOW) == NOW
    assert given.of("shop", EVENT, {"time": None}, NOW + 1) == NOW
    assert given.of("shop", EVENT, {"time": "2026-11-01T12:00:00Z"}, NOW + 2) == NOW + 2
    assert given.of("shop", b"[]", [], NOW + 3) == NOW + 3


def test_after_an_hour_or_when_the_clock_went_back_it_is_a_new_event() -> None:
    given = Stamps()
    assert given.of("shop", EVENT, {}, NOW) == NOW
    late = NOW + stamps.LONGEST_NS
    assert given.of("shop", EVENT, {}, late) == late
    assert given.of("shop", EVENT, {}, late - 1) == late - 1


def test_what_is_remembered_is_bounded() -> None:
    given = Stamps()
    for n in range(3 * stamps.REMEMBERED):
        given.of("shop", b"%d" % n, {}, NOW + n)
    assert given.of("shop", b"0", {}, NOW + 10**6) == NOW + 10**6
    newest = 3 * stamps.REMEMBERED - 1
    assert given.of("shop", b"%d" % newest, {}, NOW + newest + 1) == NOW + newest
