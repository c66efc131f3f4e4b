"""svc.store_replay.{periods,page}: one page of a partition → what of it matches → REPLAY, as of its origin

Stateless: whoever asks remembers how far it is. A page that is asked for twice is published twice, and counts once, as
outcomes are sets of the original sequences.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from penstock.broker import Broker
from penstock.contracts import subjects
from penstock.errors import Refused
from penstock.events import key_time_ms, timestamps
from penstock.replay import origin
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import FedPage, FeedPage, RecordMatch, StoredPeriods, StoredUpTo, StorePeriods, StreamSpan
from penstock.services.writer.periods import Length, period
from penstock.services.writer.queries.statements import PAGE, PERIODS, Reads

Json = dict[str, Any]
AT_ONCE = 250  # messages on their way to REPLAY at a time
_HEAD = re.compile(
    rb'\{"key":"[^"]+","time":"[^"]+","publisher":"([^"]+)","door":"([^"]+)","stream":"([^"]+)",'
    rb'"sequence":(\d+),"stored_at":"([^"]+)","entity":'
)
_EVENT = b',"event":'
_FIRST, _LAST = UUID(int=0), UUID(int=(1 << 128) - 1)
_DAY_NS = 86_400 * 1_000_000_000
_EPOCHS_BEGIN_NS = timestamps.parse("2024-01-01T00:00:00Z")  # day 0 of the streams' epochs


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, taken apart: the event's own bytes and where they were first stored."""

    key: str
    event: bytes
    publisher: str
    door: str
    stream: str
    sequence: int
    stored_at_ns: int
    entity: str

    @property
    def type(self) -> str:
        """The event's type."""
        return str(orjson.loads(self.event)["type"])


def stored(key: str, record: bytes) -> Stored:
    """The record as penstock.events.record wrote it. Raises ValueError when it did not."""
    # A quotation mark within the entity is escaped, so the first `,"event":` is the record's own.
    head, at = _HEAD.match(record), record.find(_EVENT)
    if head is None or at < head.end() or not record.endswith(b"}"):
        raise ValueError(f"the record of {key} is not one of events")
    publisher, door, stream, sequence, stored_at = [part.decode() for part in head.groups()]
    entity = orjson.loads(record[head.end() : at])
    event = record[at + len(_EVENT) : -1]
    return Stored(key, event, publisher, door, stream, int(sequence), timestamps.parse(stored_at), entity)


def epoch_of(record: Stored, now: StoredUpTo) -> int:
    """Of the stream when it stored the record. Epochs are days of creation, so that of a stream which is no more is at
    most the day of the record; whatever came after it has that day and a higher sequence, or a later day."""
    day = (record.stored_at_ns - _EPOCHS_BEGIN_NS) // _DAY_NS
    return now.epoch if now.first <= record.sequence and day >= now.epoch else max(min(day, now.epoch), 0)


class ReplayPages:
    """Reads pages, and publishes them."""

    def __init__(self, broker: Broker, reads: Reads, length: Length) -> None:
        self._broker = broker
        self._reads = reads
        self._length = length

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
        after = UUID(wanted.after) if wanted.after else _FIRST
        rows = list(await self._reads.read(PAGE, (wanted.period, wanted.pp, after, _LAST, wanted.limit)))
        matching = list(self._matching(rows, wanted))
        if wanted.run:
            await self._publish(wanted, matching)
        return FedPage(
            scanned=len(rows),
            matched=len(matching),
            last_key=str(rows[-1].key) if rows else wanted.after,
            end=len(rows) < wanted.limit,
            bytes=sum(len(record.event) for record, _ in matching),
            streams=_spans(matching),
            by_type=Counter(type for _, type in matching),
            by_publisher=Counter(record.publisher for record, _ in matching),
            by_day=Counter(timestamps.text(key_time_ms(record.key) * 1_000_000)[:10] for record, _ in matching),
        ).to_json()

    def _matching(self, rows: list[Any], wanted: FeedPage) -> Iterator[tuple[Stored, str]]:
        streams = {each.stream: each for each in wanted.streams}
        match = wanted.match
        begin, end = (timestamps.parse(each) if each else None for each in (match.begin, match.end))
        for row in rows:
            key = str(row.key)
            time_ns = key_time_ms(key) * 1_000_000
            if (begin is not None and time_ns < begin) or (end is not None and time_ns >= end):
                continue
            if match.datasets and row.dataset not in match.datasets:
                continue
            record = stored(key, row.record)
            if _fits(record, match) and _covered(record, streams):
                type = record.type
                if not match.types or type in match.types:
                    yield record, type

    async def _publish(self, wanted: FeedPage, records: list[tuple[Stored, str]]) -> None:
        streams: Mapping[str, StoredUpTo] = {each.stream: each for each in wanted.streams}
        for begin in range(0, len(records), AT_ONCE):
            some = records[begin : begin + AT_ONCE]
            await asyncio.gather(*(self._send(wanted, streams, record, type) for record, type in some))

    async def _send(self, wanted: FeedPage, streams: Mapping[str, StoredUpTo], record: Stored, type: str) -> None:
        original = subjects.event(wanted.pp, record.door, record.publisher, type)  # type: ignore[arg-type]
        headers = origin.headers(
            wanted.run,
            stream=record.stream,
            sequence=record.sequence,
            stored_at_ns=record.stored_at_ns,
            epoch=epoch_of(record, streams[record.stream]),
        )
        await self._broker.publish(origin.subject(wanted.target, original), record.event, headers)


def _fits(record: Stored, match: RecordMatch) -> bool:
    if match.publishers and record.publisher not in match.publishers:
        return False
    return match.entity is None or record.entity == match.entity


def _covered(record: Stored, streams: Mapping[str, StoredUpTo]) -> bool:
    """Whether the record was stored before the run's bounds. Sequences of an earlier life of the stream are: their
    epoch is lower, or, of the same day, they are."""
    now = streams.get(record.stream)
    return now is not None and (record.sequence <= now.last or epoch_of(record, now) < now.epoch)


def _spans(records: list[tuple[Stored, str]]) -> list[StreamSpan]:
    sequences: dict[str, list[int]] = {}
    for record, _ in records:
        sequences.setdefault(record.stream, []).append(record.sequence)
    return [
        StreamSpan(stream=stream, count=len(found), first=min(found), last=max(found))
        for stream, found in sorted(sequences.items())
    ]
