"""Progress of a consumer is a moving ack floor against its stream's tail, whatever the pending count says."""

from __future__ import annotations

from penstock.broker import ConsumerInfo, StreamInfo
from penstock.services.operator.streams.progress import STALLED, Position, Progress, is_ahead, note, waiting_of


def stream(last: int, *, first: int = 1) -> StreamInfo:
    config = {"subjects": ["evt.*.http.>"]}
    return StreamInfo("EVENTS_HTTP", 1, first, last, last - first + 1, 100, "", "", config)


def consumer(floor: int, *, pending: int = 0, unsettled: int = 0, filters: tuple[str, ...] = ()) -> ConsumerInfo:
    config = {"filter_subjects": list(filters or ("evt.*.http.>",))}
    return ConsumerInfo("EVENTS_HTTP", "indexer", pending, unsettled, 0, 0, floor, floor, floor, config)


def test_a_floor_that_stands_while_messages_wait_is_stalled_and_one_that_moves_is_not() -> None:
    progress = Progress()
    assert progress.add(0.0, stream(10), consumer(5, pending=5)) == Position(5, 5, 0.0)
    assert progress.add(50.0, stream(20), consumer(5, pending=15)).stalled == 50.0
    assert progress.add(60.0, stream(20), consumer(6, pending=14)).stalled == 0.0
    assert progress.add(500.0, stream(20), consumer(20)).stalled == 0.0
    assert progress.add(900.0, stream(20), consumer(20)).stalled == 0.0


def test_pending_0_before_the_end_of_the_stream_is_no_progress() -> None:
    progress = Progress()
    progress.add(0.0, stream(10), consumer(5))
    position = progress.add(STALLED, stream(10), consumer(5))
    assert position == Position(5, 5, STALLED)
    assert note("EVENTS_HTTP", "indexer", position) == (
        "the consumer indexer of EVENTS_HTTP has not progressed for 120 s, with 5 messages behind its ack floor:"
        " `penstock worker status` says what holds its worker"
    )
    assert note("EVENTS_HTTP", "indexer", Position(5, 5, STALLED - 1)) == ""
    assert note("REPLAY", "indexer", position) == ""


def test_what_expired_or_does_not_match_the_filter_is_not_waited_for() -> None:
    assert waiting_of(stream(10, first=11), consumer(5)) == 0
    assert waiting_of(stream(10, first=9), consumer(5)) == 2
    assert waiting_of(stream(10), consumer(5, filters=("evt.01.http.>",))) == 0
    assert waiting_of(stream(10), consumer(5, unsettled=2, filters=("evt.01.http.>",))) == 2


def test_a_consumer_is_ahead_when_it_settled_what_the_stream_does_not_have() -> None:
    assert is_ahead(stream(10), consumer(11))
    assert not is_ahead(stream(10), consumer(10))
