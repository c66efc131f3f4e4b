"""A sink that refuses everything stops its worker before the stream is emptied into the dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from penstock.broker import Broker, StoredMessage
from penstock.consume import Brake, DeadLetters, Delivery, Done, Drop, Lane, LaneOptions, Outcome
from penstock.consume.brake import FIRST_STOP
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working
from tests.support.until import until

PUBLISHERS = ("one", "two", "three", "four")
BEFORE_CLEAR = 19  # dead letters of a process before the first refusals count as more than a few


@dataclass
class Clock:
    """The clock of a brake, which stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Post:
    """An indexer, and the dead letters that were stored in this test."""

    rig: Rig
    indexer: Broker
    first: int

    def lane(self, sink: Sink, brake: Brake, **options: object) -> Lane:
        letters = DeadLetters(self.indexer, "indexer")
        chosen = LaneOptions(**options)  # type: ignore[arg-type]
        return Lane(self.indexer, STREAM, CONSUMER, sink.handle, chosen, dead_letters=letters, brake=brake)

    async def letters(self) -> list[StoredMessage]:
        return await self.rig.stored("DLQ", self.first)

    def all_unsettled(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether so many are unsettled; the server counts what was just stored a moment later."""

        async def look() -> bool:
            return await self.unsettled() == count

        return look

    async def unsettled(self) -> int:
        info = await self.rig.core.jetstream.consumer_info(STREAM, CONSUMER)
        return info.pending + info.ack_pending


@pytest.fixture
async def post(rig: Rig) -> AsyncIterator[Post]:
    await rig.consumer()
    indexer = await rig.broker("indexer")
    yield Post(rig, indexer, await rig.next_sequence("DLQ"))
    await indexer.drain()


class Store(Sink):
    """A sink that refuses everything while it is `broken`, and what `bad` sends always."""

    def __init__(self) -> None:
        super().__init__(self._answer_to)
        self.broken = True

    def _answer_to(self, delivery: Delivery) -> Outcome:
        if self.broken or ".bad." in delivery.subject:
            return Drop("SINK_REFUSED", "broken mapping")
        return Done()


async def store_in_turn(rig: Rig, count: int) -> None:
    """So many messages, of each publisher in turns of ten."""
    for n in range(0, count, 10):
        await rig.store([b"x"] * 10, publisher=PUBLISHERS[n // 10 % len(PUBLISHERS)])


@pytest.mark.parametrize("lanes", [1, 4])
async def test_nothing_is_dead_lettered_when_the_first_batches_close_the_brake(
    rig: Rig, post: Post, lanes: int
) -> None:
    brake, store = Brake("indexer"), Store()
    for publisher in PUBLISHERS:
        await rig.store([b"x"] * 500, publisher=publisher)
    working = [post.lane(store, brake, batch=2000 // lanes, linger=0.5) for _ in range(lanes)]
    async with Working(*working):
        await until(lambda: brake.stopped)
        reason = working[0].unready_reason()
        assert all(lane.unready_reason() == reason for lane in working)
        for word in ("SINK_REFUSED", "penstock dlq list --worker indexer", "penstock worker resume indexer"):
            assert word in reason
        await until(lambda: all(lane.puller.paused for lane in working))
        handled = len(store.seen)
        await rig.store([b"later"] * 20, publisher="one")
        assert not await post.letters()
        assert await until(post.all_unsettled(2020))
        assert len(store.seen) == handled, "the sink is left alone"
        store.broken = False
        brake.resume()
        await rig.settled()
    assert not await post.letters()


async def test_few_are_dead_lettered_when_refusals_come_one_by_one(rig: Rig, post: Post) -> None:
    brake, store = Brake("indexer"), Store()
    async with Working(post.lane(store, brake, batch=1, in_flight=1)):
        await store_in_turn(rig, 400)
        await until(lambda: brake.stopped)
        assert len(await post.letters()) <= BEFORE_CLEAR
        store.broken = False
        brake.resume()
        await rig.settled()
    assert len(await post.letters()) <= BEFORE_CLEAR


async def test_a_single_bad_publisher_is_dead_lettered_and_the_others_go_on(rig: Rig, post: Post) -> None:
    brake, store = Brake("indexer"), Store()
    store.broken = False
    async with Working(lane := post.lane(store, brake)):
        await rig.store([b"x"] * 1000, publisher="bad")
        await rig.store([b"x"] * 100, publisher="good")
        await rig.settled()
        assert lane.unready_reason() == ""
    assert not brake.stopped
    messages = sum([int(each.headers.get("x-penstock-count", "1")) for each in await post.letters()])
    assert messages == 1000


async def test_it_closes_again_when_the_sink_refuses_after_resume(rig: Rig, post: Post) -> None:
    clock = Clock()
    brake, store = Brake("indexer", clock=clock), Store()
    closings = asyncio.Event()
    async with Working(post.lane(store, brake)):
        for publisher in PUBLISHERS:
            await rig.store([b"x"] * 100, publisher=publisher)
        await until(lambda: brake.stopped)
        brake.watch(lambda: closings.set() if brake.stopped else None)
        brake.resume()
        async with asyncio.timeout(20):
            await closings.wait()
        assert brake.remaining == FIRST_STOP
        assert await until(post.all_unsettled(400))
        store.broken = False
        brake.resume()
        await rig.settled()
    assert not await post.letters()
