"""svc.store_replay.{periods,page}: one page of a partition → what of it matches → REPLAY, as of its origin

Stateless: whoever asks remembers how far it is. A page that is asked for twice is published twice, and counts once, as
outcomes are sets of the original sequences. A page of scores has those of one model version: one for each event.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import orjson

from penstock.broker import Broker
from penstock.errors import Refused
from penstock.events import key_time_ms, timestamps
from penstock.replay import origin
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import FedPage, FeedPage, RecordMatch, StoredPeriods, StoredUpTo, StorePeriods, StreamSpan
from penstock.rpc.server import Operation
from penstock.services.writer.periods import Length, period
from penstock.services.writer.queries.statements import PAGE, PAGE_SCORES, PERIODS, Reads
from penstock.services.writer.queries.stored import (
    Stored,
    epoch_of,
    parse_place,
    place_of,
    stored_event,
    stored_score,
)

Json = dict[str, Any]
AT_ONCE = 250  # messages on their way to REPLAY at a time
MOST_SHOWN = 2  # records in an answer, which the broker takes up to 1 MiB
_LAST = UUID(int=(1 << 128) - 1)


class ReplayPages:
    """Reads pages, and publishes them."""

    def __init__(self, broker: Broker, reads: Reads, length: Length) -> None:
        self._broker = broker
        self._reads = reads
        self._length = length

    @property
    def all(self) -> dict[str, Operation]:
        """By name, as the contract has them."""
        return {"periods": self.periods, "page": self.page}

    async def periods(self, request: Json, _: RequestCaller) -> Json:
        """StorePeriods → StoredPeriods."""
        wanted = StorePeriods.read(request)
        noted = sorted(row.period for row in await self._reads.read(PERIODS, (self._length,)))
        first = period(self._length, timestamps.parse(wanted.begin) // 1_000_000) if wanted.begin else ""
        last = period(self._length, (timestamps.parse(wanted.end) - 1) // 1_000_000) if wanted.end else "~"
        return StoredPeriods(periods=[name for name in noted if first <= name <= last]).to_json()

    async def page(self, request: Json, _: RequestCaller) -> Json:
        """FeedPage → FedPage. Raises Unavailable STREAM_FULL while REPLAY takes no more."""
        wanted = FeedPage.read(request)
        if bool(wanted.run) != bool(wanted.target):
            raise Refused("QUERY_INVALID", "a page is published for a run and a target, or for neither")
        rows = await self._rows(wanted)
        matching = list(_matching(rows, wanted))
        records = [record for record, _ in matching]
        if wanted.run:
            await self._publish(wanted, records)
        return FedPage(
            scanned=len(rows),
            matched=len(records),
            last_key=_last(rows, wanted),
            end=len(rows) < wanted.limit,
            bytes=sum(len(record.data) for record in records),
            streams=_spans(records),
            by_type=Counter(record.type for record in records),
            by_publisher=Counter(record.publisher for record in records),
            by_day=Counter(timestamps.text(key_time_ms(record.key) * 1_000_000)[:10] for record in records),
            records={record.key: orjson.loads(stored) for record, stored in matching[:MOST_SHOWN]}
            if wanted.show
            else {},
        ).to_json()

    async def _rows(self, wanted: FeedPage) -> list[Any]:
        after = parse_place(wanted.after)
        if wanted.match.model is None:
            return list(await self._reads.read(PAGE, (wanted.period, wanted.pp, after[0], _LAST, wanted.limit)))
        return list(await self._reads.read(PAGE_SCORES, (wanted.period, wanted.pp, *after, wanted.limit)))

    async def _publish(self, wanted: FeedPage, records: list[Stored]) -> None:
        streams: Mapping[str, StoredUpTo] = {each.stream: each for each in wanted.streams}
        for begin in range(0, len(records), AT_ONCE):
            some = records[begin : begin + AT_ONCE]
            await asyncio.gather(*(self._send(wanted, streams, record) for record in some))

    async def _send(self, wanted: FeedPage, streams: Mapping[str, StoredUpTo], record: Stored) -> None:
        headers = origin.headers(
            wanted.run,
            stream=record.stream,
            sequence=record.sequence,
            stored_at_ns=record.stored_at_ns,
            epoch=epoch_of(record, streams[record.stream]),
        )
        await self._broker.publish(origin.subject(wanted.target, record.subject(wanted.pp)), record.data, headers)


def _matching(rows: list[Any], wanted: FeedPage) -> Iterator[tuple[Stored, bytes]]:
    """The records that match, and their bytes in the store."""
    streams = {each.stream: each for each in wanted.streams}
    match = wanted.match
    begin, end = (timestamps.parse(each) if each else None for each in (match.begin, match.end))
    within, characters = frozenset(match.within), len(match.within[0]) if match.within else 0
    for row in rows:
        key = str(row.key)
        time_ns = key_time_ms(key) * 1_000_000
        if (begin is not None and time_ns < begin) or (end is not None and time_ns >= end):
            continue
        if within and timestamps.text(time_ns)[:characters] not in within:
            continue
        if match.datasets and row.dataset not in match.datasets:
            continue
        if match.model is None:
            record, stored = stored_event(key, row.record), row.record
        elif (row.model, row.version) == (match.model, match.version):
            record, stored = stored_score(key, row.model, row.score), row.score
        else:
            continue
        if _fits(record, match) and _covered(record, streams):
            yield record, stored


def _last(rows: list[Any], wanted: FeedPage) -> str | None:
    if not rows:
        return wanted.after
    return str(rows[-1].key) if wanted.match.model is None else place_of(rows[-1])


def _fits(record: Stored, match: RecordMatch) -> bool:
    if match.publishers and record.publisher not in match.publishers:
        return False
    if match.types and record.type not in match.types:
        return False
    return match.entity is None or record.entity == match.entity


def _covered(record: Stored, streams: Mapping[str, StoredUpTo]) -> bool:
    """Whether the event was stored before the run's bounds. Sequences of an earlier life of the stream are: their
    epoch is lower, or, of the same day, they are."""
    now = streams.get(record.stream)
    return now is not None and (record.sequence <= now.last or epoch_of(record, now) < now.epoch)


def _spans(records: list[Stored]) -> list[StreamSpan]:
    sequences: dict[str, list[int]] = {}
    for record in records:
        sequences.setdefault(record.stream, []).append(record.sequence)
    return [
        StreamSpan(stream=stream, count=len(found), first=min(found), last=max(found))
        for stream, found in sorted(sequences.items())
    ]
