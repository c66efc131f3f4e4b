"""What waits for a range, and what is in the hands of one that is being stored."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.consume import Delivery, Drop
from penstock.consume.waiting_drops import MOST, Dropped, WaitingDrops


async def one_lane(_: Sequence[Dropped], __: bool) -> None: ...


async def another_lane(_: Sequence[Dropped], __: bool) -> None: ...


def delivery(sequence: int, publisher: str = "flood") -> Delivery:
    facts = ["1", str(sequence), "1", "0", "0"]
    return Delivery(f"evt.00.http.{publisher}.log.line.v1", f"reply.{sequence}", None, b"x", "EVENTS_HTTP", "c", facts)


def waiting(*members: tuple[int, str]) -> WaitingDrops:
    found = WaitingDrops()
    for sequence, lane in members:
        found.add(delivery(sequence), Drop("SINK_REFUSED", "no"), one_lane if lane == "one" else another_lane)
    return found


def sequences(drops: WaitingDrops) -> list[int]:
    return [each.sequence for each in drops.of(one_lane)]


def test_the_messages_of_a_range_under_way_are_those_of_their_lane_until_they_are_settled() -> None:
    drops = waiting((1, "one"), (2, "another"), (3, "one"))
    (kind,) = drops.kinds()
    members = drops.take(kind)
    assert (sequences(drops), drops.kinds()) == ([1, 3], [])
    drops.settled(members, one_lane)
    assert sequences(drops) == []
    drops.put_back(kind, members)
    assert [each.sequence for each in drops.of(another_lane)] == [2], "it was not settled, and waits on"
    assert len(drops) == 1


def test_a_lane_that_stops_takes_its_messages_out_of_a_range_under_way() -> None:
    drops = waiting((1, "one"), (2, "another"))
    (kind,) = drops.kinds()
    members = drops.take(kind)
    drops.add(delivery(3), Drop("SINK_REFUSED", "no"), one_lane)
    drops.forget(one_lane)
    assert [dropped.sequence for (dropped, _), _ in members] == [2]
    drops.put_back(kind, members)
    assert (sequences(drops), len(drops)) == ([], 1)


def test_one_publisher_may_fill_the_table_and_then_its_range_is_stored_before_that_of_another() -> None:
    drops = WaitingDrops()
    drops.add(delivery(0, "shop"), Drop("SINK_REFUSED", "no"), one_lane)
    for sequence in range(1, MOST):
        drops.add(delivery(sequence), Drop("SINK_REFUSED", "no"), one_lane)
    assert drops.beyond(MOST) is None
    drops.add(delivery(MOST), Drop("SINK_REFUSED", "no"), one_lane)
    kind = drops.beyond(MOST)
    assert kind is not None
    assert kind.publisher == "flood"
