"""A lane loses nothing, handles what it must in the way it must, and gets over kills on either side."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from penstock.broker import Broker, Stored, parse_headers
from penstock.consume import (
    CrashCounter,
    DeadLetters,
    Delivery,
    Done,
    Handle,
    Lane,
    LaneOptions,
    Limits,
    Outcome,
    Retry,
)
from penstock.consume import lane as lane_module
from penstock.errors import Unavailable
from penstock.publish import GroupCommitter, Outgoing
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.faulty_link import Line
from tests.support.until import BOUND, until

MakeLane = Callable[..., Lane]


@pytest.fixture
async def indexer(rig: Rig) -> AsyncIterator[Broker]:
    await rig.consumer()
    broker = await rig.broker("indexer")
    yield broker
    await broker.drain()


@pytest.fixture
def lane(indexer: Broker) -> MakeLane:
    def make(handle: Handle, **options: object) -> Lane:
        letters = DeadLetters(indexer, "indexer")
        return Lane(indexer, STREAM, CONSUMER, handle, LaneOptions(**options), dead_letters=letters)  # type: ignore[arg-type]

    return make


async def test_every_message_is_handled_once_and_acknowledged(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    sequences = await rig.store([b"%d" % n for n in range(3000)])
    async with Working(lane(sink.handle, batch=500)):
        await sink.wait(3000)
        info = await rig.settled()
    assert sorted(delivery.sequence for delivery in sink.seen) == sequences
    assert info.ack_floor_stream_seq == sequences[-1]
    assert max(map(len, sink.batches)) <= 500


async def test_a_delivery_says_where_and_when_it_was_stored(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    ingress = await rig.broker("ingress")
    stored = await ingress.publish(subject("shop", 0x1C), b"payload", {"traceparent": "00-1"})
    async with Working(lane(sink.handle)):
        await sink.wait(1)
    (delivery,) = sink.seen
    assert (delivery.stream, delivery.sequence, delivery.delivered) == (stored.stream, stored.sequence, 1)
    assert (delivery.subject, delivery.data) == (subject("shop", 0x1C), b"payload")
    assert delivery.headers == {"traceparent": "00-1"}
    assert abs(delivery.stored_at_ns / 1e9 - time.time()) < 60


async def test_headers_of_the_group_commit_are_not_the_publishers(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    await rig.store([b"%d" % n for n in range(20)])
    async with Working(lane(sink.handle)):
        await sink.wait(20)
    assert [delivery.headers for delivery in sink.seen] == [{}] * 20
    assert "Nats-Batch-Id" in parse_headers(sink.seen[0].raw_headers)


async def test_linger_collects_a_batch(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    ingress = await rig.broker("ingress")
    async with Working(lane(sink.handle, batch=10, linger=30.0)):
        for n in range(10):
            await ingress.publish(subject(), b"%d" % n)
        await sink.wait(10)  # long before the linger is over, because the batch is full
    assert [len(batch) for batch in sink.batches] == [10]


async def test_large_messages_make_a_full_batch_by_their_bytes(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    await rig.store([b"x" * 10_000] * 12)
    limits = Limits(messages=1000, batch_bytes=30_000)
    async with Working(lane(sink.handle, batch=100, linger=30.0, limits=limits)):
        await sink.wait(12)  # long before the linger is over
    assert [len(batch) for batch in sink.batches] == [3] * 4


async def test_a_batch_is_waited_for_longer_while_many_messages_come(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    await rig.store([b"%d" % n for n in range(200)])
    adapting = lane(sink.handle, batch=1000, linger=0.3, linger_most=1.0)
    async with Working(adapting):
        await sink.wait(200)
        assert adapting.batcher.linger == 1.0
        await rig.store([b"alone"])
        await sink.wait(201)
        assert adapting.batcher.linger == 0.3


async def test_a_retried_message_comes_back_after_its_delay(rig: Rig, lane: MakeLane) -> None:
    times: list[float] = []

    def answer(_: Delivery) -> Outcome:
        times.append(time.monotonic())
        return Retry(0.5, "busy") if len(times) == 1 else Done()

    sink = Sink(answer)
    await rig.store([b"again"])
    async with Working(lane(sink.handle)):
        await sink.wait(2)
        await rig.settled()
    assert [delivery.delivered for delivery in sink.seen] == [1, 2]
    assert 0.5 <= times[1] - times[0] < 1.5


async def test_outcomes_count_message_by_message_inside_a_batch(rig: Rig, lane: MakeLane) -> None:
    sink = Sink(lambda d: Retry(0.2, "busy") if d.data.startswith(b"odd") and d.delivered == 1 else Done())
    await rig.store([b"odd %d" % n if n % 2 else b"even %d" % n for n in range(100)])
    async with Working(lane(sink.handle)):
        await sink.wait(150)
        await rig.settled()
    assert sorted(sink.payloads[100:]) == sorted(payload for payload in sink.payloads[:100] if payload[:3] == b"odd")


async def test_a_slow_handler_keeps_its_messages(rig: Rig, lane: MakeLane) -> None:
    await rig.consumer(ack_wait=1.0)
    done = asyncio.Event()
    sink = Sink()

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        asyncio.get_running_loop().call_later(3.5, done.set)
        await done.wait()
        return await sink.handle(batch)

    await rig.store([b"%d" % n for n in range(20)])
    async with Working(lane(slow, batch=10, in_flight=1)):  # the second batch waits in the queue meanwhile
        await sink.wait(20)
        await rig.settled()
    assert [delivery.delivered for delivery in sink.seen] == [1] * 20


async def test_an_empty_message_holds_up_nothing_behind_it(rig: Rig) -> None:
    await rig.consumer(stream="EVENTS_NATS")
    indexer, billing, sink = await rig.broker("indexer"), await rig.broker("billing"), Sink()
    working = Lane(indexer, "EVENTS_NATS", CONSUMER, sink.handle, dead_letters=DeadLetters(indexer, "indexer"))
    async with Working(working):
        began = time.monotonic()
        for n in range(400):
            empty = n % 100 == 20 or n in (21, 22)
            await billing.publish("evt.00.nats.billing.log.line.v1", b"" if empty else b"%d" % n)
        await sink.wait(400)
        await rig.settled("EVENTS_NATS")
    assert time.monotonic() - began < 15, "the consumer's ack_wait is 30 s"
    assert len(sink.seen) == 400, "each came once"


async def test_what_a_lane_holds_is_bounded(rig: Rig, lane: MakeLane) -> None:
    release = asyncio.Event()
    sink = Sink()

    async def stuck(batch: list[Delivery]) -> list[Outcome]:
        await release.wait()
        return await sink.handle(batch)

    await rig.store([bytes(10_000)] * 1500)
    bounded = lane(stuck, batch=50, in_flight=1, limits=Limits(messages=200))
    async with Working(bounded):
        await until(lambda: bounded.held == 200 and bounded.puller.outstanding == 0)
        assert (await rig.core.jetstream.consumer_info(STREAM, CONSUMER)).ack_pending == 200
        release.set()
        await sink.wait(1500)
        await rig.settled()


async def test_what_a_lane_holds_is_bounded_in_bytes_too(rig: Rig, lane: MakeLane) -> None:
    release = asyncio.Event()
    sink = Sink()

    async def stuck(batch: list[Delivery]) -> list[Outcome]:
        await release.wait()
        return await sink.handle(batch)

    await rig.store([bytes(100_000)] * 100)
    limits = Limits(messages=1000, bytes=4_000_000, batch_bytes=500_000)
    bounded = lane(stuck, in_flight=1, limits=limits)
    async with Working(bounded):
        await until(lambda: bounded.held >= 20)
        await rig.core.flush()
        assert bounded.held_bytes <= limits.bytes
        release.set()
        await sink.wait(100)
        await rig.settled()
    assert max(map(len, sink.batches)) == 5


def refused_deliveries() -> float:
    labels = {"stream": STREAM, "consumer": CONSUMER}
    return REGISTRY.get_sample_value("penstock_deliveries_refused_total", labels) or 0.0


async def test_a_message_sent_into_the_lanes_inbox_by_somebody_else_is_dropped(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    forger = await rig.broker("scorer")  # may publish to the indexer's inbox, because it answers its requests
    working = lane(sink.handle)
    async with Working(working):
        await until(lambda: working.puller.outstanding > 0)
        address = working.puller.inboxes[0]
        ack = f"$JS.ACK.{STREAM}.{CONSUMER}.1.1.1.1.0"
        before = refused_deliveries()
        for reply in ("", "evt.00.http.victim.log.line.v1", ack.replace(CONSUMER, "writer")):
            forger.send(address, b"forged", reply=reply)
        forger.send(address, b"forged", reply=ack)  # the server itself does not let this one through
        await forger.flush()
        await rig.store([b"genuine"])
        await sink.wait(1)
        assert refused_deliveries() == before + 2
    assert sink.payloads == [b"genuine"]


async def test_a_handler_that_raises_loses_nothing_and_its_message_is_isolated(rig: Rig, lane: MakeLane) -> None:
    await rig.consumer(ack_wait=20.0)  # so that whatever comes again does so because the handler failed
    sink = Sink()

    async def raises(batch: list[Delivery]) -> list[Outcome]:
        if any(delivery.data == b"bad" and delivery.delivered <= 4 for delivery in batch):
            raise RuntimeError("a defect")
        return await sink.handle(batch)

    await rig.store([b"good 1", b"bad", b"good 2"])
    async with Working(lane(raises, after_failure=0.05)):
        await sink.wait(3)
        await rig.settled()
    assert sorted(sink.payloads) == [b"bad", b"good 1", b"good 2"]
    assert {len(batch) for batch in sink.batches} == {1}, "from the fourth delivery on each is handled alone"


async def test_a_handler_that_finds_its_store_away_has_the_batch_retried(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()

    async def away(batch: list[Delivery]) -> list[Outcome]:
        if batch[0].delivered == 1:
            raise Unavailable("STORE_UNAVAILABLE", "gone", retry_after=0.1)
        return await sink.handle(batch)

    await rig.store([b"%d" % n for n in range(10)])
    async with Working(lane(away)):
        await sink.wait(10)
        await rig.settled()
    assert {delivery.delivered for delivery in sink.seen} == {2}


async def test_messages_retried_often_still_come_in_batches(rig: Rig, lane: MakeLane) -> None:
    sink = Sink(lambda d: Retry(0.05, "busy") if d.delivered < 6 else Done())
    await rig.store([b"%d" % n for n in range(50)])
    async with Working(lane(sink.handle, linger=0.2, after_failure=0.05)):
        await sink.wait(300)
        await rig.settled()
    assert len(sink.batches) < 60, "a retry is no sign of a crash"


async def test_a_sink_that_takes_nothing_makes_the_lane_rest(rig: Rig, lane: MakeLane) -> None:
    sink = Sink(lambda _: Retry(0.01, "down"))
    await rig.store([b"%d" % n for n in range(10)])
    resting = lane(sink.handle, batch=1, in_flight=1, linger=0.0)
    async with Working(resting):
        await sink.wait(2)
        await until(lambda: resting.puller.paused)
        count = len(sink.batches)
        await rig.core.flush()
        assert len(sink.batches) == count == 2


async def test_stopping_finishes_what_is_in_hand_and_gives_the_rest_to_others_at_once(rig: Rig, lane: MakeLane) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    first, second = Sink(), Sink()

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        started.set()
        await release.wait()
        return await first.handle(batch)

    await rig.store([b"%d" % n for n in range(100)])
    stop = asyncio.Event()
    stopping = lane(slow, batch=10, in_flight=1)
    running = asyncio.create_task(stopping.run(stop))
    async with asyncio.timeout(BOUND):
        await started.wait()
        await until(lambda: stopping.held == 30)
        stop.set()
        asyncio.get_running_loop().call_later(0.3, release.set)
        await running
    assert len(first.seen) == 10
    began = time.monotonic()
    async with Working(lane(second.handle)):
        await second.wait(90)
        await rig.settled()
    assert time.monotonic() - began < 3, "the consumer's ack_wait is 30 s"
    assert sorted(first.payloads + second.payloads) == sorted(b"%d" % n for n in range(100))


async def test_lanes_that_stop_in_the_middle_of_a_flow_leave_nothing_waiting(rig: Rig, lane: MakeLane) -> None:
    count, sink = 12_000, Sink()
    await rig.store([b"%d" % n for n in range(count)])
    began = time.monotonic()
    for stops in range(1, 5):
        stop = asyncio.Event()

        async def stopped_by_its_first(batch: list[Delivery], stop: asyncio.Event = stop) -> list[Outcome]:
            stop.set()
            return await sink.handle(batch)

        async with asyncio.timeout(BOUND):
            await lane(stopped_by_its_first, batch=100, limits=Limits(messages=1000)).run(stop)
        assert len(sink.seen) < count, f"stop {stops} was not in the middle of the flow"
    async with Working(lane(sink.handle)):
        await sink.wait(count)
        await rig.settled()
    assert time.monotonic() - began < 15, "the consumer's ack_wait is 30 s"
    assert len(set(sink.payloads)) == count


async def test_a_worker_that_vanishes_takes_no_messages_with_it_but_those_in_hand(rig: Rig, lane: MakeLane) -> None:
    link = await Line("indexer→nats", rig.place.local_port("nats"), random.Random(0)).open()
    gone = await Broker.connect(f"nats://127.0.0.1:{link.port}", "indexer", rig.place.credentials_folder)
    stays, lost = Sink(), Sink()
    vanishing = Lane(gone, STREAM, CONSUMER, lost.handle, dead_letters=DeadLetters(gone, "indexer"))
    running = asyncio.create_task(vanishing.run(asyncio.Event()))
    await until(lambda: vanishing.puller.outstanding > 0)
    link.refuse()
    await until(lambda: not gone.connected)
    began = time.monotonic()
    await rig.store([b"for the other"])
    async with Working(lane(stays.handle)):
        await stays.wait(1)
    assert time.monotonic() - began < 3
    assert not lost.seen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await gone.drain(1.0)
    await link.close()


async def test_nothing_is_lost_when_the_server_is_killed_under_load_and_the_lane_goes_on_at_once(
    rig: Rig, lane: MakeLane
) -> None:
    await rig.consumer(ack_wait=2.0)
    ingress = await rig.broker("ingress")
    committer = GroupCommitter(ingress, patience=15)
    await committer.start()
    sink = Sink()
    stored: dict[int, bytes] = {}
    go_on = True

    async def send() -> None:
        number = 0
        while go_on:
            payloads = [b"%d" % (number + n) for n in range(50)]
            number += 50
            found = await committer.submit([Outgoing(subject(), payload) for payload in payloads])
            assert all(isinstance(result, Stored) for result in found), found
            stored.update({r.sequence: p for r, p in zip(found, payloads, strict=True) if isinstance(r, Stored)})

    async with Working(lane(sink.handle, batch=100)):
        sending = asyncio.create_task(send())
        await sink.wait(2000)
        for _ in range(2):
            rig.processes.kill("nats")
            await asyncio.to_thread(rig.processes.restart, "nats")
            up, count = time.monotonic(), len(sink.seen)
            await sink.wait(count + 500)
            assert time.monotonic() - up < 2.5, "pulls are asked anew"
        go_on = False
        async with asyncio.timeout(BOUND):
            await sending
            await rig.settled()
    await committer.stop()
    handled = {delivery.sequence: delivery.data for delivery in sink.seen}
    assert {sequence: handled.get(sequence) for sequence in stored} == stored
    assert len(sink.seen) < len(handled) + 2 * 2000, "some come twice after a kill, by far not all"


async def test_a_lane_says_why_it_does_not_progress(rig: Rig, lane: MakeLane) -> None:
    sink = Sink()
    working = lane(sink.handle)
    async with Working(working):
        await until(lambda: working.puller.outstanding > 0)
        assert working.unready_reason() == ""
        await rig.drop_consumer()
        await until(lambda: "does not answer pulls" in working.unready_reason())
        await rig.consumer()
        await rig.store([b"back"])
        await sink.wait(1)
        await until(lambda: working.unready_reason() == "")


async def test_a_lane_whose_batches_are_not_taken_says_why_until_one_is_or_another_takes_them(
    rig: Rig, lane: MakeLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = True, Sink()

    async def handle(batch: list[Delivery]) -> list[Outcome]:
        return [Retry(0.05, "the table is missing") if broken else Done()] * len(batch)

    working = lane(handle, after_failure=0.05)
    async with Working(working):
        await rig.store([b"1"])
        await until(working.unready_reason)
        assert working.unready_reason() == f"{STREAM}/{CONSUMER}: the last batches were not taken: the table is missing"
        broken = False
        await rig.settled()
        assert working.unready_reason() == ""
        broken = True
        await rig.store([b"2"])
        await until(working.unready_reason)
        monkeypatch.setattr(lane_module, "REFUSED", 0.5)
        async with Working(lane(other.handle)):
            await other.wait(1)
            await until(lambda: not working.unready_reason())


async def test_a_lane_far_behind_says_so(rig: Rig, lane: MakeLane) -> None:
    release = asyncio.Event()
    sink = Sink()

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        await release.wait()
        return await sink.handle(batch)

    info = await rig.core.jetstream.stream_info(STREAM)
    short = {"max_age": int(4e9), "duplicate_window": int(1e9)}
    await rig.core.jetstream.update_stream(info.config | short)
    try:
        await rig.store([b"1"])
        working = lane(slow)
        async with Working(working):
            await until(lambda: working.held == 1)
            assert working.unready_reason() == ""
            await until(lambda: "behind" in working.unready_reason())
            assert working.behind > 2
            release.set()
            await sink.wait(1)
            await rig.settled()
            assert working.behind == 0
    finally:
        await rig.core.jetstream.update_stream(info.config)


async def test_tries_that_never_ended_are_counted_across_processes(tmp_path: Path) -> None:
    assert [CrashCounter(tmp_path).begin("S", "c", 7) for _ in range(4)] == [0, 1, 2, 3]
    CrashCounter(tmp_path).end("S", "c", 7)
    assert CrashCounter(tmp_path).begin("S", "c", 7) == 0
    assert CrashCounter(tmp_path).begin("S", "c", 8) == 0
