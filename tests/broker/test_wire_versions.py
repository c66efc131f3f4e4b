"""Messages of every released wire version, published to a real server and consumed, mean what they meant then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.consume import DeadLetters, Lane
from tests.support.broker_rig import Rig, Sink, Working
from tests.support.wire import WireMessage, all_files, outcome, saved

SAVED = [saved(path) for path in all_files()]
CONSUMED = ("EVENTS_HTTP", "EVENTS_NATS", "SCORES", "REPLAY")
READ = ("DLQ", "AUDIT")


def of(stream: str) -> list[tuple[WireMessage, object]]:
    return [each for each in SAVED if each[0].stream == stream]


async def publish(rig: Rig, stream: str) -> int:
    """Publishes all messages of a stream; the sequence of the first."""
    first = await rig.next_sequence(stream)
    for message, _ in of(stream):
        await rig.core.publish(message.subject, message.data, dict(message.headers))
    return first


@pytest.mark.parametrize("stream", CONSUMED)
async def test_a_worker_consumes_them(rig: Rig, stream: str) -> None:
    if stream != "REPLAY":  # its consumers are on a work queue, which holds only what this test publishes
        await rig.consumer(stream=stream)
    await publish(rig, stream)
    sink, indexer = Sink(), await rig.broker("indexer")
    async with Working(Lane(indexer, stream, "indexer", sink.handle, dead_letters=DeadLetters(indexer, "indexer"))):
        await sink.wait(len(of(stream)))
        await rig.settled(stream)
    for delivery, (message, kept) in zip(sink.seen, of(stream), strict=True):
        got = replace(message, subject=delivery.subject, headers=delivery.headers, data=delivery.data)
        assert outcome(got) == kept


@pytest.mark.parametrize("stream", READ)
async def test_they_are_read_from_their_stream(rig: Rig, stream: str) -> None:
    first = await publish(rig, stream)
    for found, (message, kept) in zip(await rig.stored(stream, first), of(stream), strict=True):
        got = replace(message, subject=found.subject, headers=dict(found.headers or {}), data=found.data)
        assert outcome(got) == kept
