"""The broker's disk is full, in earnest: a file system of its own that has no room left."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.contracts import load
from penstock.events import Checker
from penstock.stack import nats, process, up
from tests.support.broker_rig import Rig, conf
from tests.support.ingress import Ingress, event, results
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes
from tests.support.until import until

STREAM = "EVENTS_HTTP"
SIZE_MB, LARGER_MB = 24, 256
MOST = 2_000  # batches; each has about 100 KB


def mount(folder: Path, options: str) -> None:
    """Skips the test where no file system may be mounted, as in most containers."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")


@pytest.fixture
async def rig(place_factory: PlaceFactory) -> AsyncIterator[Rig]:
    place = place_factory.make("small-disk")
    disk = place.folder("nats/jetstream")
    mount(disk, f"size={SIZE_MB}m")
    try:
        nats.wait_ready(place, nats.start(place, conf(place)))
        rig = await Rig(Processes(place)).open()
        yield rig
        await rig.close()
    finally:
        await asyncio.to_thread(process.stop, place, "nats")
        unmount(disk)
        await asyncio.to_thread(up.clean, place)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_is_a_503_and_nothing_accepted_is_lost(rig: Rig) -> None:
    ingress = await Ingress(rig.place).start()
    accepted: set[str] = set()

    async def fill() -> tuple[str, str]:
        """Sends until something is not taken; the first such result."""
        for number in range(MOST):
            answer = await ingress.send([event(f"{number}-{n}", data={"message": "x" * 5_000}) for n in range(20)])
            accepted.update(each["key"] for each in answer.json()["results"] if each["status"] == "accepted")
            if answer.status_code != 202:
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                return next(each for each in results(answer) if each[0] != "accepted")
        raise AssertionError(f"{MOST} batches found room on {SIZE_MB} MB")

    assert (await fill())[0] == "unavailable"
    assert accepted
    assert not (await ingress.readiness())["ready"]

    # The operator gives it more room. The server has stopped its JetStream, and begins again when it is restarted.
    mount(rig.place.folder("nats/jetstream"), f"remount,size={LARGER_MB}m")
    await asyncio.to_thread(rig.processes.kill, "nats")
    await asyncio.to_thread(rig.processes.restart, "nats")

    async def ready() -> bool | None:
        return (await ingress.readiness())["ready"] or None

    await until(ready)
    again = await ingress.send(event("afterwards"))
    assert again.status_code == 202
    accepted.add(again.json()["results"][0]["key"])
    checker = Checker(load())
    stored = {
        checker.at_ingress(message.data, publisher="shop", door="http", now_ns=message.stored_at_ns).key
        for message in await rig.stored(STREAM, 1)
    }
    assert accepted <= stored
    await ingress.stop()
