"""What is deleted or altered on the server under a running fleet is noticed without traffic, and so is a stream that is
nearly full."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY

from penstock.provisioning import provision
from penstock.runtime import Worker
from penstock.services.operator.__main__ import build
from penstock.services.operator.streams import progress
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


async def test_a_consumer_that_does_not_progress_is_named(
    operator: Operator, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.store([b"waits"])
    monkeypatch.setattr(progress, "STALLED", 0.3)
    notes = await until(lambda: [note for note in operator.notes() if "has not progressed" in note])
    assert "of EVENTS_HTTP has not progressed for" in notes[0]
    assert "messages behind its ack floor: `penstock worker status`" in notes[0]
    labels = {"stream": "EVENTS_HTTP", "consumer": "writer"}
    stalled = REGISTRY.get_sample_value("penstock_stream_consumer_stalled_seconds", labels)
    pending = REGISTRY.get_sample_value("penstock_stream_consumer_pending_messages", labels)
    last = REGISTRY.get_sample_value("penstock_stream_last_sequence", {"stream": "EVENTS_HTTP"})
    assert stalled is not None
    assert stalled > 0
    assert pending is not None
    assert pending >= 1
    assert last == (await rig.core.jetstream.stream_info("EVENTS_HTTP")).last_seq
    monkeypatch.undo()
    await until(lambda: operator.notes() == [])
