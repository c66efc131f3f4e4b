"""A backlog behind a paused consumer → resumed → the rate at which each worker writes it into its store, in turn.

Filling costs the worker nothing: its consumer is paused meanwhile (ADR-34), and the process stays warm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import psutil

from bench.ceilings import run as ceiling
from bench.ceilings.records import stored_events
from bench.peers.site import KEYSPACE, STREAM, Site, pass_over, subject
from bench.rounds import Measure, Sample, as_json, interleave
from bench.watch import Watch, resident_mb
from penstock.broker import Broker
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.events import timestamps
from penstock.publish import GroupCommitter, Outgoing

OURS = "EVENTS_HTTP"
_SINKS = {"indexer": "elasticsearch", "writer": "cassandra"}
_PATIENCE = 300.0
ROW_BY_ROW = 5  # times fewer events for who writes a statement a row: a tenth as fast, its rounds would be minutes


async def measure(site: Site, worker: str, rounds: int, events: int) -> dict[str, Any]:
    """The indexer or the writer against its peers and its ceiling."""
    server = site.base.pid(_SINKS[worker])
    await pass_over(site.core, OURS, [worker])
    ours = (await site.base.start(f"{worker}_0"))[f"{worker}_0"]
    mine = partial(_ours, site, [worker], ours, server, events)
    contestants: dict[str, Measure] = {"Penstock": mine, "Penstock again": mine}
    languages = ("python", "go") if site.has_go else ("python",)
    for language in languages:
        await pass_over(site.broker, STREAM, [f"{language}_{worker}"])
        pid = await site.start(f"peer_{language}_{worker}", language, worker, language)
        own_events = events // ROW_BY_ROW if (worker, language) == ("writer", "python") else events
        contestants[NAMES[worker, language]] = partial(_theirs, site, language, worker, pid, server, own_events)
    direct = "bulk" if worker == "indexer" else "rows"
    target = "peer-ceiling" if worker == "indexer" else KEYSPACE
    contestants[NAMES[worker, "direct"]] = partial(ceiling, site.place, direct, events, server, target)
    found = await interleave(contestants, rounds)
    await site.base.stop(f"{worker}_0", *(f"peer_{language}_{worker}" for language in languages))
    return as_json(found)


NAMES = {
    ("indexer", "python"): "FastStream, async_bulk",
    ("indexer", "go"): "Go, BulkIndexer",
    ("indexer", "direct"): "direct _bulk",
    ("writer", "python"): "FastStream, a statement a row",
    ("writer", "go"): "Go, gocql batches",
    ("writer", "direct"): "direct batches",
}


async def measure_scorer(site: Site, rounds: int, events: int) -> dict[str, Any]:
    """The scorer against the bare signature."""
    lanes = load().streams[OURS].members("scorer")
    await pass_over(site.core, OURS, lanes)
    pid = (await site.base.start("scorer_0"))["scorer_0"]
    mine = partial(_ours, site, lanes, pid, site.base.pid("nats"), events)
    contestants: dict[str, Measure] = {
        "Penstock": mine,
        "Penstock again": mine,
        "bare signature": partial(ceiling, site.place, "signature", 8 * events),
    }
    found = await interleave(contestants, rounds)
    await site.base.stop("scorer_0")
    return as_json(found)


async def _ours(site: Site, consumers: Sequence[str], pid: int, server: int, events: int) -> Sample:
    place = site.place
    filler = await Broker.connect(place.nats, "ingress", place.credentials_folder)
    group = [Outgoing(event.subject, event.raw) for event in await asyncio.to_thread(stored_events, events)]
    try:
        return await drain(site.core, filler, OURS, consumers, group, [pid], server)
    finally:
        await filler.drain()


async def _theirs(site: Site, language: str, worker: str, pid: int, server: int, events: int) -> Sample:
    made = await asyncio.to_thread(stored_events, events)
    group = [Outgoing(subject(language, event), event.raw) for event in made]
    return await drain(site.broker, site.broker, STREAM, [f"{language}_{worker}"], group, [pid], server)


async def drain(
    broker: Broker,
    filler: Broker,
    stream: str,
    consumers: Sequence[str],
    group: list[Outgoing],
    pids: Sequence[int],
    server: int,
) -> Sample:
    """Fills the stream, releases the consumers, and watches until the processes `pids` have settled everything."""
    soon = timestamps.text(time.time_ns() + int(_PATIENCE * 1e9))
    for consumer in consumers:
        await broker.jetstream.api(f"CONSUMER.PAUSE.{stream}.{consumer}", {"pause_until": soon})
    await fill(filler, group)

    processes = [psutil.Process(pid) for pid in pids]

    async def settled() -> int:
        if any(process.status() == psutil.STATUS_ZOMBIE for process in processes):
            raise RuntimeError(f"the consumer of {stream} has died; see its log")
        infos = [await broker.jetstream.consumer_info(stream, consumer) for consumer in consumers]
        return len(group) - sum([info.pending + info.ack_pending for info in infos])

    watch = Watch(settled, {str(pid): pid for pid in (*pids, server)})
    await watch.sample()
    for consumer in consumers:
        await broker.jetstream.api(f"CONSUMER.PAUSE.{stream}.{consumer}", {})
    await watch.until(len(group), timeout=_PATIENCE, every=0.05)
    # All of it, from the release on: a worker has read far ahead of what it has settled, so a part would flatter it.
    (began, _, before), (ended, _, after) = watch.samples[0], watch.samples[-1]
    own = sum(after[str(pid)] - before[str(pid)] for pid in pids)
    far = after[str(server)] - before[str(server)]
    cpu = {"own": 1e6 * own / len(group), "server": 1e6 * far / len(group)}
    return Sample(len(group) / (ended - began), cpu, mb=max(map(resident_mb, pids)))


async def fill(broker: Broker, group: list[Outgoing]) -> None:
    """Stores all of it. Raises the first error."""
    committer = GroupCommitter(broker)
    await committer.start()
    try:
        for begin in range(0, len(group), 5000):
            for result in await committer.submit(group[begin : begin + 5000]):
                if isinstance(result, PenstockError):
                    raise result
    finally:
        await committer.stop()
