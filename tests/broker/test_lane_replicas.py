"""Two lanes on one consumer, as of two replicas: what one of them took is no backlog of the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.broker import Broker
from penstock.consume import DeadLetters, Delivery, Lane, LaneOptions, Limits, Outcome
from penstock.replay.live_traffic import OUTDATED, LiveTraffic
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working
from tests.support.until import until


@pytest.fixture
async def indexer(rig: Rig) -> AsyncIterator[Broker]:
    await rig.consumer()
    broker = await rig.broker("indexer")
    yield broker
    await broker.drain()


async def test_a_lane_is_not_behind_when_others_have_handled_what_was_left(rig: Rig, indexer: Broker) -> None:
    letters, release, sink = DeadLetters(indexer, "indexer"), asyncio.Event(), Sink()

    async def slow(batch: list[Delivery]) -> list[Outcome]:
        await release.wait()
        return await sink.handle(batch)

    single = LaneOptions(batch=1, in_flight=1, limits=Limits(messages=1))
    lane = Lane(indexer, STREAM, CONSUMER, slow, single, dead_letters=letters)
    live = LiveTraffic([lane])
    await rig.store([b"x"] * 10)
    async with Working(lane):
        await until(lambda: lane.held == 1)
        assert lane.pending == 10
        async with Working(Lane(indexer, STREAM, CONSUMER, sink.handle, dead_letters=letters)):
            await sink.wait(9)
            release.set()
            await rig.settled()
        # Its newest delivery said that nine were left, and no other has come to it since.
        await until(lambda: lane.behind > OUTDATED)
        await live.look()
        assert (live.behind, live.pending) == (0.0, 0)
