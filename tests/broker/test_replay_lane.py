"""A run is carried out whole and never beyond its end, at its pace, behind live traffic, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from penstock.broker import Broker
from penstock.consume import DeadLetters, Delivery, Done, Drop, Lane, LaneOptions, Outcome
from penstock.events.dead_letter import RUN
from penstock.replay import origin
from penstock.replay.run import Range, Run
from penstock.replay.turns import SMALL
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.replay_hosts import Replica
from tests.support.replays import Replays
from tests.support.until import until


@pytest.fixture
async def indexer(rig: Rig) -> AsyncIterator[Broker]:
    broker = await rig.broker("indexer")
    yield broker
    await broker.drain()


@pytest.fixture
async def replays(rig: Rig) -> AsyncIterator[Replays]:
    replays = await Replays(rig).open()
    yield replays
    await replays.close()


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def sequences(sink: Sink) -> list[int]:
    return sorted(delivery.sequence for delivery in sink.seen)


async def test_every_planned_message_is_handled_once_recorded_and_none_behind_the_end(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(900))
    sink, planned = Sink(), stored[100:700]
    run = await replays.apply(planned[0], planned[-1])
    async with Replica(indexer, sink.handle):
        outcomes = await replays.complete(run)
        await rig.store(numbers(300))  # live traffic goes on, and the consumer with it
        await until(lambda: passed_on(replays, run))
    assert sequences(sink) == planned
    assert outcomes == {"confirmed": planned}


async def passed_on(replays: Replays, run: Run) -> bool:
    """Whether the consumer has been asked for what lies behind the end of the run."""
    return (await replays.info(run.ranges[0])).delivered_stream_seq > run.ranges[0].last + 200


async def test_each_outcome_is_counted_as_what_it_is(rig: Rig, indexer: Broker, replays: Replays) -> None:
    def answer(delivery: Delivery) -> Outcome:
        kind = int(delivery.data) % 4
        if kind == 3:
            return Drop("SINK_REFUSED", "no")
        return (Done(), Done(unwritten="superseded"), Done(unwritten="filtered"))[kind]

    first_letter = await rig.next_sequence("DLQ")
    stored = await rig.store(numbers(40))
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, Sink(answer).handle):
        outcomes = await replays.complete(run)
    kinds = ("confirmed", "skipped", "filtered", "parked")
    assert outcomes == {kind: stored[number::4] for number, kind in enumerate(kinds)}
    letters = await rig.stored("DLQ", first_letter)
    assert [int(letter.headers["x-penstock-sequence"]) for letter in letters] == stored[3::4]
    assert {letter.headers[RUN] for letter in letters} == {run.id}


async def test_a_delivery_says_the_epoch_of_its_stream(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(3))
    sink = Sink()
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, sink.handle):
        await replays.complete(run)
    assert {delivery.epoch for delivery in sink.seen} == {(await rig.core.jetstream.stream_info(STREAM)).epoch}


async def test_a_pause_holds_within_a_second_and_a_resumed_run_goes_on_where_it_was(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(2000))
    sink = Sink()
    replays.rate = 500.0
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, sink.handle, options=LaneOptions(batch=20, linger=0.005)):
        await sink.wait(200)
        await replays.move("paused")
        await replays.reported(2)  # a second
        held = len(sink.seen)
        await replays.reported(3)
        assert len(sink.seen) == held < len(stored)
        replays.rate = 100_000.0
        await replays.move("running")
        outcomes = await replays.complete(run)
    assert outcomes == {"confirmed": stored}
    assert sequences(sink) == stored


async def test_two_replicas_share_the_rate(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(2000))
    one, other = Sink(), Sink()
    second = await rig.broker("indexer")
    replays.rate = 500.0
    small = LaneOptions(batch=20, linger=0.005)
    async with (
        Replica(indexer, one.handle, name="one", options=small),
        Replica(second, other.handle, name="other", options=small),
    ):
        run = await replays.apply(stored[0], stored[-1])
        await until(lambda: one.seen and other.seen)
        began, before = time.monotonic(), len(one.seen) + len(other.seen)
        outcomes = await replays.complete(run)
    rate = (len(stored) - before) / (time.monotonic() - began)
    assert 350 < rate < 650  # the first report of a replica does not know the other yet
    assert min(len(one.seen), len(other.seen)) > len(stored) / 4
    assert sorted(sequences(one) + sequences(other)) == stored
    assert outcomes == {"confirmed": stored}


async def test_without_an_operator_a_replay_stops_and_goes_on_with_the_next(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(4000))
    sink = Sink()
    replays.rate = 300.0
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, sink.handle, options=LaneOptions(batch=20, linger=0.005)):
        await sink.wait(100)
        replays.answers = False
        await replays.reported(7)  # longer than an allowance lasts
        held = len(sink.seen)
        await replays.reported(2)
        assert len(sink.seen) == held < len(stored)
        replays.answers, replays.rate = True, 100_000.0
        assert await replays.complete(run) == {"confirmed": stored}
    assert sequences(sink) == stored


async def test_live_messages_go_first(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(500))
    await rig.consumer()
    release = asyncio.Event()
    live_seen: list[Delivery] = []

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        live_seen.extend(batch)
        await release.wait()
        return [Done()] * len(batch)

    letters = DeadLetters(indexer, "indexer")
    options = LaneOptions(batch=10, in_flight=1, linger=0.001)
    live, sink = Lane(indexer, STREAM, CONSUMER, slow, options, dead_letters=letters), Sink()
    async with Working(live):
        await rig.store(numbers(100))
        await until(lambda: live.batch_waiting)
        async with Replica(indexer, sink.handle, live=[live]):
            run = await replays.apply(stored[0], stored[-1])
            await until(lambda: replays.reports and replays.reports[-1].live_pending == 100)
            await replays.reported(2)
            assert not sink.seen
            release.set()
            await replays.complete(run)
    assert len(live_seen) == 100


async def test_beside_live_traffic_a_replay_works_in_small_portions_one_at_a_time(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(3000))
    await rig.consumer()
    portions: list[int] = []
    at_once, most_at_once = 0, 0

    async def handle(batch: list[Delivery]) -> list[Outcome]:
        nonlocal at_once, most_at_once
        at_once += 1
        portions.append(len(batch))
        most_at_once = max(most_at_once, at_once)
        await rig.core.flush()
        at_once -= 1
        return [Done()] * len(batch)

    async def traffic() -> None:
        while True:
            await rig.core.publish(subject(), b"live")

    live_sink = Sink()
    live = Lane(indexer, STREAM, CONSUMER, live_sink.handle, dead_letters=DeadLetters(indexer, "indexer"))
    async with Working(live):
        publishing = asyncio.create_task(traffic())
        await live_sink.wait(2)
        async with Replica(indexer, handle, live=[live], options=LaneOptions(batch=1000, in_flight=3)):
            run = await replays.apply(stored[0], stored[-1])
            await replays.complete(run)
        publishing.cancel()
    assert (max(portions), most_at_once, sum(portions)) == (SMALL, 1, 3000)


async def test_beside_a_busy_live_lane_a_replay_goes_on_at_its_floor(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(3 * SMALL))
    await rig.consumer()
    begun: list[float] = []
    ended = asyncio.Event()

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        with suppress(TimeoutError):  # something is always being handled, and nothing waits for it
            async with asyncio.timeout(0.25):  # long beside the time until the next one
                await ended.wait()
        return [Done()] * len(batch)

    async def handle(batch: list[Delivery]) -> list[Outcome]:
        begun.append(time.monotonic())
        return [Done()] * len(batch)

    async def traffic() -> None:
        while True:
            await rig.core.publish(subject(), b"live")

    options = LaneOptions(batch=5000, in_flight=4, linger=0.0, after_failure=0.01)
    live = Lane(indexer, STREAM, CONSUMER, slow, options, dead_letters=DeadLetters(indexer, "indexer"))
    async with Working(live):
        publishing = asyncio.create_task(traffic())
        await until(lambda: live.at_work)
        async with Replica(indexer, handle, live=[live]):
            run = await replays.apply(stored[0], stored[-1])
            assert await replays.complete(run) == {"confirmed": stored}
        publishing.cancel()
        ended.set()
    assert min(after - before for before, after in pairwise(begun)) > 0.5
    assert max(report.live_busy for report in replays.reports) > 0.5


async def test_a_cancelled_run_handles_nothing_more_and_the_next_one_starts(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(2000))
    sink = Sink()
    replays.rate = 300.0
    first = await replays.apply(stored[0], stored[-1])
    with capture_logs() as logs:
        async with Replica(indexer, sink.handle, options=LaneOptions(batch=20, linger=0.005)):
            await sink.wait(50)
            await replays.end("cancelled")
            await until(lambda: [entry for entry in logs if entry["event"] == "replay_lanes_stopped"])
            handled = len(sink.seen)
            assert handled < len(stored)
            replays.rate = 100_000.0
            second = await replays.apply(stored[0], stored[-1])
            assert second.ranges[0].consumer != first.ranges[0].consumer
            assert await replays.complete(second) == {"confirmed": stored}
    # What was settled before the cancel is on record, and nothing else.
    confirmed = (await replays.outcomes(first))["confirmed"]
    assert sorted(delivery.sequence for delivery in sink.seen[:handled]) == confirmed


async def test_a_consumer_that_vanishes_makes_no_busy_loop(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(2000))
    sink = Sink()
    replays.rate = 200.0
    run = await replays.apply(stored[0], stored[-1])
    with capture_logs() as logs:
        async with Replica(indexer, sink.handle, options=LaneOptions(batch=20, linger=0.005)):
            await sink.wait(20)
            await rig.drop_consumer(STREAM, run.ranges[0].consumer)
            await replays.reported(6)  # three seconds
    refused = [entry for entry in logs if entry["event"] == "pull_refused"]
    assert 1 <= len(refused) <= 12
    await replays.make_consumer(run.ranges[0])


async def test_a_stream_made_anew_is_not_replayed(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(10))
    sink = Sink()
    run = await replays.apply(stored[0], stored[-1])
    other = run.ranges[0].model_copy(update={"epoch": run.ranges[0].epoch + 1})
    with capture_logs() as logs:
        async with Replica(indexer, sink.handle):
            await replays.start((other,))
            await until(lambda: [entry for entry in logs if entry["event"] == "replay_epoch_changed"])
            await replays.reported(2)
    assert {delivery.epoch for delivery in sink.seen} <= {run.ranges[0].epoch}


async def test_it_survives_the_broker(rig: Rig, indexer: Broker, replays: Replays) -> None:
    stored = await rig.store(numbers(3000))
    sink = Sink()
    replays.rate = 600.0
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, sink.handle, options=LaneOptions(batch=50, linger=0.005)):
        for _ in range(2):
            seen = len(sink.seen)
            await sink.wait(seen + 100)
            rig.processes.kill("nats")
            await asyncio.to_thread(rig.processes.restart, "nats")
        replays.rate = 100_000.0
        outcomes = await replays.complete(run)
    assert outcomes == {"confirmed": stored}
    assert sorted(set(sequences(sink))) == stored


async def test_nothing_is_acknowledged_before_its_outcome_is_stored(
    rig: Rig, indexer: Broker, replays: Replays
) -> None:
    stored = await rig.store(numbers(200))
    sink = Sink()
    config = (await rig.core.jetstream.stream_info("REPLAY_LOG")).config
    await rig.core.jetstream.api("STREAM.DELETE.REPLAY_LOG", {})
    run = await replays.apply(stored[0], stored[-1])
    async with Replica(indexer, sink.handle):
        await sink.wait(200)
        await replays.reported(1)
        info = await replays.info(run.ranges[0])
        assert (info.ack_floor_stream_seq < stored[0], info.ack_pending) == (True, 200)
        await rig.core.jetstream.create_stream(config)
        assert await replays.complete(run) == {"confirmed": stored}
    assert sequences(sink) == stored


# -- messages on REPLAY


class Redrive:
    """Puts messages on REPLAY, as the operator does for dead letters."""

    def __init__(self, rig: Rig, operator: Broker) -> None:
        self._rig = rig
        self._operator = operator

    async def put(self, run: str, count: int, *, first: int = 1, stream: str = STREAM) -> None:
        for sequence in range(first, first + count):
            headers = origin.headers(run, stream=stream, sequence=sequence, stored_at_ns=sequence * 10, epoch=7)
            await self._operator.publish(origin.subject("indexer", subject()), b"%d" % sequence, headers)

    async def left(self) -> int:
        return (await self._rig.core.jetstream.stream_info("REPLAY")).messages


@pytest.fixture
async def redrive(rig: Rig) -> Redrive:
    return Redrive(rig, await rig.broker("operator"))


RANGE = Range(stream="REPLAY", epoch=0, first=1, last=0, filters=(), planned=0, consumer="indexer")


async def test_a_redriven_message_is_handled_as_its_original(
    rig: Rig, indexer: Broker, replays: Replays, redrive: Redrive
) -> None:
    sink, scores = Sink(), Sink()
    run = await replays.start((), source="dead_letters", effect="redrive")
    await redrive.put(run.id, 5, first=11)
    await redrive.put(run.id, 3, first=11, stream="SCORES")
    async with Replica(indexer, sink.handle, scores.handle, streams=(STREAM, "SCORES")):
        await sink.wait(5)
        await scores.wait(3)
        await until(lambda: nothing_left(redrive))
    assert [(each.stream, each.sequence, each.stored_at_ns, each.epoch) for each in sink.seen] == [
        (STREAM, sequence, sequence * 10, 7) for sequence in range(11, 16)
    ]
    assert {delivery.subject for delivery in sink.seen} == {subject()}
    assert await replays.outcomes(run) == {"confirmed": list(range(11, 16))}


async def nothing_left(redrive: Redrive) -> bool:
    return await redrive.left() == 0


async def test_messages_of_a_run_that_is_over_are_dropped_and_of_one_to_come_are_kept(
    rig: Rig, indexer: Broker, replays: Replays, redrive: Redrive
) -> None:
    sink = Sink()
    over = await replays.start((), source="dead_letters", effect="redrive")
    await replays.end("cancelled")
    await redrive.put(over.id, 4)
    run = await replays.start((), source="dead_letters", effect="redrive")
    await redrive.put("unknown_run", 2)
    await redrive.put(run.id, 3)
    async with Replica(indexer, sink.handle):
        await sink.wait(3)
        await until(lambda: nothing_left(redrive))
    assert [int(delivery.data) for delivery in sink.seen] == [1, 2, 3]


async def test_a_message_without_an_origin_stops_nothing(
    rig: Rig, indexer: Broker, replays: Replays, redrive: Redrive
) -> None:
    sink = Sink()
    run = await replays.start((), source="dead_letters", effect="redrive")
    operator = await rig.broker("operator")
    await operator.publish("replay.indexer.x", b"?", {"x-other": "1"})
    await redrive.put(run.id, 1)
    async with Replica(indexer, sink.handle):
        await sink.wait(1)
        await until(lambda: nothing_left(redrive))
    assert len(sink.seen) == 1
