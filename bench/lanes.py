"""A backlog → a handler that does nothing → acknowledged: what consuming alone costs, beside nats-py's own way."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import nats
import psutil

from bench.ceilings.records import stored_events
from bench.drains import OURS, fill
from bench.peers.site import STREAM, Site, pass_over, subject
from bench.rounds import Sample, as_json, interleave
from penstock.broker import Broker
from penstock.consume import DeadLetters, Delivery, Done, Lane, Outcome
from penstock.publish import Outgoing


async def measure(site: Site, rounds: int, events: int) -> dict[str, Any]:
    """Messages/s and CPU-µs a message of this process and of the server."""
    place = site.place
    made = await asyncio.to_thread(stored_events, events)
    ingress = await Broker.connect(place.nats, "ingress", place.credentials_folder)
    indexer = await Broker.connect(place.nats, "indexer", place.credentials_folder)
    ours = partial(_ours, site, ingress, indexer, [Outgoing(event.subject, event.raw) for event in made])
    theirs = partial(_theirs, site, [Outgoing(subject("go", event), event.raw) for event in made])
    try:
        found = await interleave({"Penstock": ours, "Penstock again": ours, "nats-py, fetch(100)": theirs}, rounds)
    finally:
        await ingress.drain()
        await indexer.drain()
    return as_json(found)


class _Timed:
    """Rate and CPU from its making to `sample`."""

    def __init__(self, server: int) -> None:
        self._server = psutil.Process(server)
        self._far, self._own, self._began = self._times(), time.process_time(), time.perf_counter()

    def _times(self) -> float:
        return float(sum(self._server.cpu_times()[:2]))

    def sample(self, events: int) -> Sample:
        seconds, own = time.perf_counter() - self._began, time.process_time() - self._own
        far = self._times() - self._far
        return Sample(events / seconds, {"own": 1e6 * own / events, "server": 1e6 * far / events})


async def _ours(site: Site, ingress: Broker, indexer: Broker, group: list[Outgoing]) -> Sample:
    await pass_over(site.core, OURS, ["indexer"])
    await fill(ingress, group)
    return await timed_lane(site.base.pid("nats"), indexer, len(group))


async def timed_lane(server: int, indexer: Broker, events: int) -> Sample:
    """Consumes so many messages of the stream, and does nothing with them."""
    stop, done, count = asyncio.Event(), Done(), 0
    sample, timed = Sample(0.0), _Timed(server)

    async def nothing(batch: list[Delivery]) -> list[Outcome]:
        nonlocal count, sample
        count += len(batch)
        if count >= events:
            sample = timed.sample(count)
            stop.set()
        return [done] * len(batch)

    await Lane(indexer, OURS, "indexer", nothing, dead_letters=DeadLetters(indexer, "indexer")).run(stop)
    return sample


async def _theirs(site: Site, group: list[Outgoing]) -> Sample:
    await pass_over(site.broker, STREAM, ["go_indexer"])
    await fill(site.broker, group)
    told = site.environment()
    client = await nats.connect(told["PEER_NATS"], user=told["PEER_USER"], password=told["PEER_PASSWORD"])
    pull = await client.jetstream().pull_subscribe_bind("go_indexer", STREAM)
    count, timed = 0, _Timed(site.base.pid("nats"))
    while count < len(group):
        for message in await pull.fetch(100, timeout=10):
            await message.ack()
            count += 1
    await client.flush()
    sample = timed.sample(count)
    await client.close()
    return sample
