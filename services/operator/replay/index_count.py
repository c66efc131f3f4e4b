"""Whether an index that was filled holds what the store holds, also where live traffic went on meanwhile.

    ends of the streams now ─▶ writer and indexer are there ─▶ documents up to them = records up to them

A record may be replaced by a newer one of its key while the store is counted, and is then up to the ends no more. So
documents are counted before and after that; they only become fewer, and the records lie between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from penstock.broker import Broker, if_there
from penstock.errors import Unavailable
from penstock.events import timestamps
from penstock.replay.origin import SCORES
from penstock.replay.run import Run
from penstock.rpc.messages import CheckedIndex, StoredUpTo, StreamEnd
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.indices import RebuiltIndices
from penstock.services.operator.replay.store_count import StoreCount

SINKS = ("writer", "indexer")
SCORER = "scorer"
LOOK_SECONDS = 0.5
COUNT_SECONDS, PATIENCE = 10.0, 60.0  # of the store at a time; for which it may be away
CLOCKS = 60_000_000_000  # nanoseconds by which clocks may differ


@dataclass(frozen=True, slots=True)
class Compared:
    """Documents in all, those up to the ends before and after the store was counted, and the records in it."""

    all: int
    before: int
    after: int
    records: int

    @property
    def missing(self) -> int:
        """Records that have no document, for certain."""
        return max(self.records - self.before, 0)

    @property
    def extra(self) -> int:
        """Documents that have no record, for certain."""
        return max(self.after - self.records, 0)


async def compare(broker: Broker, indices: RebuiltIndices, run: Run) -> Compared:
    """The index that a run fills with the store. Raises PenstockError."""
    if run.store is None:
        raise ValueError(f"run {run.id} has no selection of the store")
    lasts = await _settled(broker, run)
    ends = [await end(broker, run, stream, last) for stream, last in lasts.items()]
    before = await indices.check(run.alias, [], ends)
    match = run.store.match
    periods = await store_pages.periods(broker, match.begin, match.end)
    selection = run.store.model_copy(update={"periods": periods})
    streams = [each.model_copy(update={"last": lasts[each.stream]}) for each in _bounds(run)]
    count = StoreCount(request="", selection=selection, streams=streams)
    until = time.monotonic() + PATIENCE
    while not count.whole:
        try:
            await count.go_on(broker, COUNT_SECONDS)
            until = time.monotonic() + PATIENCE
        except Unavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(LOOK_SECONDS)
    after = await indices.check(run.alias, [], ends)
    return Compared(after.count, _up_to(before), _up_to(after), count.total)


async def end(broker: Broker, run: Run, stream: str, last: int) -> StreamEnd:
    """The place `last` of a stream, for the indexer. Where its message is gone: since shortly before the run began."""
    message = await if_there(broker.jetstream.get(stream, sequence=last)) if last else None
    if message is not None:
        stored_at = message.stored_at_ns
    else:
        began = next(change.at for change in run.changes if change.state == "running")
        stored_at = timestamps.parse(began) - CLOCKS
    return StreamEnd(stream=stream, last=last, stored_at=timestamps.text(stored_at // 1_000_000 * 1_000_000))


async def _settled(broker: Broker, run: Run) -> dict[str, int]:
    """Ends of the streams of events up to which both stores have everything."""
    streams = {part.stream: (await broker.jetstream.stream_info(part.stream)).last_seq for part in run.ranges}
    if run.store is None or run.store.match.model is None:
        await _reached(broker, streams)
        return streams
    for stream, last in streams.items():
        scorer = await broker.jetstream.consumer_info(stream, SCORER)
        streams[stream] = min(scorer.settled_to(last), last)
    # Read after that: scores of these events lie before it.
    await _reached(broker, {SCORES: (await broker.jetstream.stream_info(SCORES)).last_seq})
    return streams


async def _reached(broker: Broker, ends: dict[str, int]) -> None:
    for stream, last in ends.items():
        for sink in SINKS:
            while True:
                info = await broker.jetstream.consumer_info(stream, sink)
                if info.settled_to(last) >= last:
                    break
                await asyncio.sleep(LOOK_SECONDS)


def _bounds(run: Run) -> Iterable[StoredUpTo]:
    return store_pages.bounds_of(run.ranges, run.store) if run.store is not None else ()


def _up_to(checked: CheckedIndex) -> int:
    return checked.count - checked.behind
