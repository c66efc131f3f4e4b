"""The real servers in a folder of their own, provisioned, with a connection that counts and an API key that sends."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.auth import api_keys
from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.contracts import load as load_contracts
from penstock.stack import process, up
from penstock.stack.place import CHECKOUT, Place

EVENT_STREAMS = ("EVENTS_HTTP", "EVENTS_NATS")


class Fleet:
    """The running servers, and the processes of the fleet that a measurement starts."""

    def __init__(self, place: Place, broker: Broker) -> None:
        self.place = place
        self.broker = broker
        self.has_model = False
        self.key, _ = api_keys.create(
            place.keys,
            load_contracts(),
            identity="bench",
            datasets=["*"],
            types=["*"],
            roles=["sender", "reader"],
            now_ns=time.time_ns(),
        )

    async def start(self, *names: str) -> dict[str, int]:
        """Starts processes of the fleet side by side; returns their pids."""
        await asyncio.gather(*(asyncio.to_thread(up.start_service, self.place, name) for name in names))
        return {name: self.pid(name) for name in names}

    async def stop(self, *names: str) -> None:
        """Stops them, gracefully."""
        await asyncio.gather(*(asyncio.to_thread(process.stop, self.place, name) for name in names))

    def pid(self, name: str) -> int:
        """The pid of a running server or process of the fleet."""
        record = process.alive(self.place, name)
        if record is None:
            raise RuntimeError(f"{name} does not run")
        return record.pid

    async def load(self, **options: float) -> dict[str, Any]:
        """Runs the load on the ingress; returns its result."""
        return await load(f"http://127.0.0.1:{self.place.local_port('ingress')}", self.key, self.place, **options)

    async def stored(self) -> int:
        """Messages on the streams of events."""
        return sum([(await self.broker.jetstream.stream_info(name)).messages for name in EVENT_STREAMS])

    async def settled(self, consumer: str, *streams: str) -> int:
        """How many messages of these streams a consumer has settled: a worker settles a message only when its sink
        has it, so this counts at the sink and costs the sink nothing."""
        done = 0
        for stream in streams:
            info = await self.broker.jetstream.consumer_info(stream, consumer)
            done += (await self.broker.jetstream.stream_info(stream)).messages - info.pending - info.ack_pending
        return done

    async def scored(self) -> int:
        """Scores on their stream."""
        return (await self.broker.jetstream.stream_info("SCORES")).messages


async def load(url: str, key: str, place: Place, **options: float) -> dict[str, Any]:
    """Runs bench.load on an API in a process of its own; returns its result."""
    words = [word for name, value in options.items() for word in (f"--{name}", f"{value:g}")]
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load", "--url", url, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ, **place.environment()},
    )
    out, _ = await running.communicate(key.encode() + b"\n")
    if running.returncode:
        raise RuntimeError(f"the load ended with {running.returncode}")
    result: dict[str, Any] = json.loads(out)
    return result


@asynccontextmanager
async def fleet_on(place: Place) -> AsyncIterator[Fleet]:
    """Starts the servers of `place` and provisions them; all of it is stopped and deleted at the end."""
    try:
        await asyncio.to_thread(up.up, place, servers_only=True)
        await asyncio.to_thread(up.provision, place)
        broker = await connect_as("provision", place)
        try:
            yield Fleet(place, broker)
        finally:
            await broker.drain()
    finally:
        await asyncio.to_thread(up.clean, place)
