"""What is deleted or altered on the server under a running fleet is noticed without traffic, and so is a stream that is
nearly full."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.provisioning import provision
from penstock.runtime import Worker
from penstock.services.operator.__main__ import build
from penstock.stack.place import Place
from tests.support.broker_rig import Rig
from tests.support.until import until
from tests.support.workers import RunningWorker

Operator = Worker[Place]


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[Operator]:
    await provision.apply(rig.place)
    settings = rig.place.model_copy(update={"check_seconds": 0.1})
    async with RunningWorker(rig, "operator", build, settings=settings) as operator:
        await until(lambda: operator.notes() == [])
        yield operator


async def test_what_is_missing_or_altered_is_named_until_it_is_provisioned(operator: Operator, rig: Rig) -> None:
    await rig.drop_consumer("SCORES", "writer")
    await rig.core.jetstream.api("STREAM.DELETE.REPLAY_LOG", {})
    config = (await rig.core.jetstream.stream_info("AUDIT")).config
    await rig.core.jetstream.api("STREAM.UPDATE.AUDIT", config | {"max_bytes": config["max_bytes"] // 2})
    notes = await until(lambda: found if len(found := operator.notes()) == 3 else None)
    assert any(note.startswith("the consumer writer of SCORES is gone") for note in notes)
    assert any(note.startswith("the stream REPLAY_LOG is gone") for note in notes)
    [altered] = [note for note in notes if note.startswith("the stream AUDIT has max_bytes")]
    assert f"{config['max_bytes']}" in altered
    assert all("`penstock provision`" in note for note in notes)
    assert operator.unready_reasons() == []

    await provision.apply(rig.place)
    await until(lambda: operator.notes() == [])


async def test_a_stream_that_is_nearly_full_is_named(operator: Operator, rig: Rig) -> None:
    await rig.store([b"x" * 200_000] * 4)
    info = await rig.core.jetstream.stream_info("EVENTS_HTTP")
    small = info.config | {"max_bytes": info.bytes + 1000}
    await rig.core.jetstream.api("STREAM.UPDATE.EVENTS_HTTP", small)
    notes = await until(lambda: [note for note in operator.notes() if "uses" in note])
    assert notes[0].startswith("the stream EVENTS_HTTP uses 100% of its ")
    assert "raise its max_bytes" in notes[0]
    await provision.apply(rig.place)
    await until(lambda: operator.notes() == [])
