"""What is dropped ends in DLQ with its payload, reason and origin, and is terminated only then."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from penstock.broker import Broker, StoredMessage
from penstock.consume import DeadLetters, Delivery, Done, Drop, Lane, LaneOptions, Outcome, Share
from tests.support.broker_rig import CONSUMER, STREAM, Rig, Sink, Working, subject
from tests.support.records import records_of
from tests.support.until import BOUND, until


@dataclass
class Post:
    """An indexer, and the letters that were stored in this test."""

    rig: Rig
    indexer: Broker
    first: int

    def lane(
        self,
        sink: Sink,
        options: LaneOptions | None = None,
        *,
        letters: DeadLetters | None = None,
    ) -> Lane:
        chosen = letters or DeadLetters(self.indexer, "indexer")
        return Lane(self.indexer, STREAM, CONSUMER, sink.handle, options, dead_letters=chosen)

    async def letters(self) -> list[StoredMessage]:
        letters = await self.rig.stored("DLQ", self.first)
        records_of(letters)
        return letters


@pytest.fixture
async def post(rig: Rig) -> AsyncIterator[Post]:
    await rig.consumer()
    indexer = await rig.broker("indexer")
    yield Post(rig, indexer, await rig.next_sequence("DLQ"))
    await indexer.drain()


def refuse(delivery: Delivery) -> Outcome:
    return Drop("SINK_REFUSED", "no such field\r\nx: y", key="key 1") if delivery.data.startswith(b"bad") else Done()


async def test_a_drop_goes_to_dlq_with_payload_reason_and_origin(rig: Rig, post: Post) -> None:
    ingress = await rig.broker("ingress")
    stored = await ingress.publish(subject(), b"bad \x00\xff", {"traceparent": "00-1"})
    sink = Sink(refuse)
    async with Working(post.lane(sink)):
        await sink.wait(1)
        await rig.settled()
    (letter,) = await post.letters()
    assert letter.subject == f"dlq.indexer.{subject()}"
    assert letter.data == b"bad \x00\xff"
    assert letter.headers == {
        "x-penstock-form": "full",
        "x-penstock-code": "SINK_REFUSED",
        "x-penstock-reason": "no such field  x: y",
        "x-penstock-worker": "indexer",
        "x-penstock-stream": STREAM,
        "x-penstock-sequence": str(stored.sequence),
        "x-penstock-stored-at": str((await rig.core.jetstream.get(STREAM, sequence=stored.sequence)).stored_at_ns),
        "x-penstock-delivered": "1",
        "x-penstock-key": "key 1",
        "traceparent": "00-1",
    }


async def test_a_reason_is_cut_to_a_kibibyte_at_a_whole_character(rig: Rig, post: Post) -> None:
    sink = Sink(lambda _: Drop("SINK_REFUSED", "ä" * 600 + "x"))
    await rig.store([b"bad"])
    async with Working(post.lane(sink)):
        await sink.wait(1)
        await rig.settled()
    (letter,) = await post.letters()
    assert letter.headers["x-penstock-reason"] == "ä" * 512


async def test_the_others_of_the_batch_are_acknowledged(rig: Rig, post: Post) -> None:
    sink = Sink(refuse)
    await rig.store([b"bad" if n % 10 == 0 else b"good" for n in range(100)])
    async with Working(post.lane(sink)):
        await sink.wait(100)
        await rig.settled()
    assert len(await post.letters()) == 10
    assert len(sink.seen) == 100


async def test_while_dlq_is_full_the_message_is_kept_and_the_lane_is_unready(rig: Rig, post: Post) -> None:
    info = await rig.core.jetstream.stream_info("DLQ")
    await rig.core.jetstream.update_stream(info.config | {"max_bytes": info.bytes + 10})
    sink = Sink(refuse)
    lane = post.lane(sink, LaneOptions(after_failure=0.1))
    await rig.store([b"bad"])
    async with Working(lane):
        await sink.wait(3)
        assert "STREAM_FULL" in lane.unready_reason()
        assert "raise max_bytes of DLQ" in lane.unready_reason()
        assert (await rig.core.jetstream.consumer_info(STREAM, CONSUMER)).ack_pending == 1
        assert not await post.letters()
        await rig.core.jetstream.update_stream(info.config)
        await rig.settled()
        await until(lambda: lane.unready_reason() == "")
    assert [letter.data for letter in await post.letters()] == [b"bad"]


async def test_a_flood_of_drops_is_dead_lettered_in_ranges_and_others_in_full(rig: Rig, post: Post) -> None:
    sink = Sink(refuse)
    sequences = await rig.store([b"bad %d" % n for n in range(300)], publisher="flood")
    await rig.store([b"bad, too"], publisher="other")
    letters = DeadLetters(post.indexer, "indexer", share=Share(full_per_minute=20))
    async with Working(post.lane(sink, letters=letters)):
        await sink.wait(301)
        await rig.settled()
    found = await post.letters()
    full = [letter for letter in found if letter.headers["x-penstock-form"] == "full"]
    ranges = [orjson.loads(letter.data) for letter in found if letter.headers["x-penstock-form"] == "range"]
    assert len([letter for letter in full if ".flood." in letter.subject]) == 20
    assert [letter.data for letter in full if ".other." in letter.subject] == [b"bad, too"]
    assert {(each["publisher"], each["code"], each["stream"]) for each in ranges} == {("flood", "SINK_REFUSED", STREAM)}
    assert sum(each["count"] for each in ranges) == 280
    told = {n for each in ranges for n in range(each["from"], each["to"] + 1)}
    assert set(sequences) <= told | {int(letter.headers["x-penstock-sequence"]) for letter in full}


async def test_full_dead_letters_are_limited_per_minute(post: Post) -> None:
    now = 0.0
    letters = DeadLetters(post.indexer, "indexer", share=Share(full_per_minute=1), clock=lambda: now)
    delivery = Delivery(subject(), "", None, b"x", STREAM, CONSUMER, ["1", "5", "1", "0", "0"])
    drop = Drop("SINK_REFUSED", "no")
    assert await letters.store([(delivery, drop), (delivery, drop)]) == [True, True]
    now = 61.0
    assert await letters.store([(delivery, drop)]) == [True]
    forms = [letter.headers["x-penstock-form"] for letter in await post.letters()]
    assert forms == ["full", "range", "full"]


async def test_a_message_that_kills_its_worker_three_times_alone_is_dead_lettered(
    rig: Rig, post: Post, tmp_path: Path
) -> None:
    await rig.consumer(ack_wait=0.5)
    await rig.store([b"good 1", b"poison", b"good 2"])
    command = [sys.executable, "-m", "tests.support.crashing_worker", str(tmp_path)]
    environment = rig.place.environment()
    ends: list[int] = []
    handled = tmp_path / "handled"

    async def live() -> list[StoredMessage] | None:
        child = await asyncio.create_subprocess_exec(*command, env=environment)
        watching = asyncio.create_task(until(arrived))
        dying = asyncio.create_task(child.wait())
        await asyncio.wait([watching, dying], return_when=asyncio.FIRST_COMPLETED)
        if not dying.done():
            child.terminate()
        ends.append(await dying)
        watching.cancel()
        return await arrived()

    async def arrived() -> list[StoredMessage] | None:
        both = handled.exists() and set(handled.read_text().splitlines()) == {"good 1", "good 2"}
        return (await post.letters() or None) if both else None

    (letter,) = await until(live, bound=4 * BOUND)
    assert letter.data == b"poison"
    assert letter.headers["x-penstock-code"] == "WORKER_CRASHED"
    *deaths, end = ends
    assert set(deaths) == {-signal.SIGKILL}
    assert 3 <= len(deaths) <= 6, "up to three deliveries in a batch, three alone"
    assert end == 0, "then the worker goes on"
    await rig.settled()
