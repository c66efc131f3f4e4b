"""The brakes of two replicas on one consumer: both close, `penstock worker resume` opens both, and one may die."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from penstock.services.operator.__main__ import build
from tests.support.broker_rig import Rig
from tests.support.command import worker
from tests.support.sample_process import Sample, start_sample
from tests.support.until import until
from tests.support.workers import RunningWorker

PUBLISHERS = ("one", "two", "three")
MESSAGES = 600  # of each
ALL = MESSAGES * len(PUBLISHERS)
ACK_WAIT = 3.0  # seconds until the messages of a killed replica come to the other


class Pair:
    """Two replicas of a worker with one sink, which is broken at first."""

    def __init__(self, rig: Rig, folder: Path, replicas: list[Sample], letters: int) -> None:
        self.rig = rig
        self.folder = folder
        self.replicas = replicas
        self._letters = letters

    async def send(self) -> None:
        """Messages of several publishers, in turns, so that both replicas get some of each."""
        for number in range(0, MESSAGES, 50):
            for publisher in PUBLISHERS:
                texts = [b"%s %d" % (publisher.encode(), number + each) for each in range(50)]
                await self.rig.store(texts, publisher=publisher)

    def repair_sink(self) -> None:
        (self.folder / "broken").unlink()

    async def braked(self, *replicas: Sample) -> None:
        """Waits until these report that their brakes are closed."""

        async def look() -> bool:
            _, out, _ = await worker(self.rig, "status", "indexer", "--json")
            found = {each["instance"] for each in json.loads(out)["replicas"] if each.get("brake")}
            return found >= {instance(replica) for replica in replicas}

        await until(look)

    async def all_handled(self) -> Counter[str]:
        """Waits until every message was handled; how often each was. None is a dead letter."""
        await self.rig.settled()
        assert await self.rig.stored("DLQ", self._letters) == []
        return Counter(self.replicas[0].handled())


@pytest.fixture
async def pair(rig: Rig, tmp_path: Path) -> AsyncIterator[Pair]:
    await rig.consumer(ack_wait=ACK_WAIT)
    (tmp_path / "broken").touch()
    async with RunningWorker(rig, "operator", build), AsyncExitStack() as stack:
        replicas = [await start_sample(rig, tmp_path, instance=number) for number in range(2)]
        for replica in replicas:
            stack.push_async_callback(ended, replica)
        for replica in replicas:
            await replica.ready()
        yield Pair(rig, tmp_path, replicas, await rig.next_sequence("DLQ"))


def instance(replica: Sample) -> str:
    """The name by which it reports."""
    return f"{socket.gethostname()}-{replica.process.pid}"


async def ended(sample: Sample) -> None:
    if sample.process.returncode is None:
        await sample.end()


async def test_both_close_and_one_command_opens_both(pair: Pair) -> None:
    await pair.send()
    await pair.braked(*pair.replicas)
    for replica in pair.replicas:
        await replica.ready(False)
    pair.repair_sink()
    code, out, errors = await worker(pair.rig, "resume", "indexer", "--reason", "rolled back")
    assert code == 0, errors
    assert out.count("the brake is open") == 2
    assert set((await pair.all_handled()).values()) == {1}
    for replica in pair.replicas:
        await replica.ready()


async def test_what_a_killed_replica_kept_goes_through_the_other_one(pair: Pair) -> None:
    await pair.send()
    await pair.braked(*pair.replicas)
    killed, other = pair.replicas
    await killed.end(signal.SIGKILL)
    pair.repair_sink()
    code, out, _ = await worker(pair.rig, "resume", "indexer", "--reason", "rolled back")
    assert code == 3
    assert f"indexer {instance(other)}: the brake is open" in out
    assert f"indexer {instance(killed)}: has not confirmed yet" in out
    handled = await pair.all_handled()
    assert handled.total() == ALL == len(handled)


async def test_a_replica_that_starts_again_beside_a_broken_sink_closes_its_own_brake(pair: Pair) -> None:
    await pair.send()
    await pair.braked(*pair.replicas)
    await pair.replicas[0].end(signal.SIGKILL)
    pair.replicas[0] = again = await start_sample(pair.rig, pair.folder, instance=0)
    try:
        # The other one rests, and so everything on the consumer comes to this one.
        await pair.braked(*pair.replicas)
        pair.repair_sink()
        _, out, _ = await worker(pair.rig, "resume", "indexer", "--reason", "rolled back")
        assert all(f"{instance(each)}: the brake is open" in out for each in pair.replicas), out
        handled = await pair.all_handled()
        assert handled.total() == ALL == len(handled)
    finally:
        await ended(again)
