"""A worker that one message kills: `python -m tests.support.crashing_worker <folder>`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from penstock.broker import Broker
from penstock.consume import CrashCounter, DeadLetters, Delivery, Done, Lane, Outcome
from penstock.settings import load_settings
from tests.support.broker_rig import CONSUMER, STREAM


async def main(folder: Path) -> None:
    """Notes what it handled; dies of b"poison" as a process dies of a fault in native code."""

    async def handle(batch: list[Delivery]) -> list[Outcome]:
        if any(delivery.data == b"poison" for delivery in batch):
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "handled").open("a") as file:
            file.writelines(f"{delivery.data.decode()}\n" for delivery in batch)
        return [Done()] * len(batch)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    broker = await Broker.connect(load_settings().nats, "indexer", load_settings().credentials_folder)
    lane = Lane(
        broker,
        STREAM,
        CONSUMER,
        handle,
        dead_letters=DeadLetters(broker, "indexer"),
        crash_counter=CrashCounter(folder / "attempts"),
    )
    await lane.run(stop)
    await broker.drain()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
