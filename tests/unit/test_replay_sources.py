"""What a worker makes of its sources for replays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from penstock.broker import Broker
from penstock.consume import Delivery, Done, LaneOptions, Limits, Outcome
from penstock.replay.run import Run
from penstock.runtime import Replayed, Source
from penstock.runtime.replaying import matching, replay_sources

NO_BROKER = cast("Broker", None)  # whoever sends an answer in these tests fails


@dataclass
class Value:
    entity: str
    key: str = "k"


def run(**members: Any) -> Run:
    document = {"id": "r", "plan": "0" * 64, "target": "scorer", "source": "events", "effect": "repair", "rate": 1}
    return Run(ranges=(), planned=0, **{**document, **members})


def delivery(data: bytes) -> Delivery:
    return Delivery("s", "r", None, data, "S", "c", ["1", "1", "1", "1", "0"])


async def test_values_that_do_not_match_are_filtered_and_the_others_keep_their_outcomes() -> None:
    handled: list[Value] = []

    async def handle(values: list[Value]) -> list[Outcome]:
        handled.extend(values)
        return [Done({"entity": value.key}) for value in values]

    values = [Value("a", "1"), Value("b", "2"), Value("a", "3")]
    outcomes = await matching(handle, {"entity": "a"})(values)
    assert outcomes == [Done({"entity": "1"}), Done(unwritten="filtered"), Done({"entity": "3"})]
    assert handled == [values[0], values[2]]
    assert await matching(handle, {"entity": "none", "key": "1"})(values) == [Done(unwritten="filtered")] * 3


async def test_shards_of_a_stream_become_one_lane_that_holds_as_much() -> None:
    async def handle(_: list[str]) -> list[Outcome]:
        return []

    options = LaneOptions(batch=256, in_flight=2, limits=Limits(messages=1024, bytes=8, batch_bytes=2))
    sources = [
        Source(stream=stream, consumer=f"scorer_{n}", decode=str, handle=handle, options=options)
        for stream in ("A", "B")
        for n in range(4)
    ]
    found = replay_sources(NO_BROKER, sources)
    assert [source.stream for source in found] == ["A", "B"]
    assert (found[0].options.batch, found[0].options.in_flight) == (1000, 2)
    assert found[0].options.bounds == Limits(messages=4096, bytes=32, batch_bytes=2)


async def test_every_run_has_a_handler_of_its_own_and_answers_nobody() -> None:
    made = 0

    def replayed(_: str) -> Replayed[bytes]:
        nonlocal made
        made += 1

        async def handle(values: list[bytes]) -> list[Outcome]:
            return [Done({"answer": made}) for _ in values]

        return Replayed(lambda delivery: delivery.data, handle)

    async def live(_: list[bytes]) -> list[Outcome]:
        pytest.fail("a replay went to the live handler")

    source = Source(stream="A", consumer="a", decode=lambda delivery: delivery.data, handle=live, replayed=replayed)
    [found] = replay_sources(NO_BROKER, [source])
    for count in (1, 2):
        handle = found.handle(run())
        assert await handle([delivery(b"x")]) == [Done({"answer": count})]
