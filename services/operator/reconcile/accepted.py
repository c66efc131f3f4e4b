"""EVENTS_HTTP, EVENTS_NATS, DLQ → by dataset and period: which events were accepted, and which of them were refused

The streams' messages are read, as only their keys tell how many different events they are: one that was accepted again
after the window of de-duplication is one document and one row.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from penstock.broker import Broker, StoredMessage, StreamInfo
from penstock.contracts import Contracts
from penstock.contracts.subjects import parse_event, publisher_of
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.events.event_key import event_key
from penstock.rpc.messages import PERIOD_CHARACTERS, Per
from penstock.services.operator.dead_letters import dead_letter
from penstock.services.operator.dead_letters.index import STREAM, Index
from penstock.services.operator.reconcile.refusals import Refusals, RefusedEvents
from penstock.services.operator.replay.bounds import first_since

MOST = 1_000_000  # events compared in one request; their keys are held meanwhile
SINKS = ("indexer", "writer")
MS = 1_000_000  # nanoseconds
EXPIRING_NS = 100 * 1_000_000_000  # before the streams drop an event; as long as a request may take
_SKEW_NS = 600 * 1_000_000_000  # by which an event's own time may be ahead of its acceptance, beyond its type's bound

Group = tuple[str, str]  # dataset and period


@dataclass(slots=True)
class Accepted:
    """Of one dataset and period. `keys`: hashes of them, which take half of the memory; `last`: by stream, the last
    sequence of its events."""

    keys: set[int] = field(default_factory=set)
    messages: int = 0
    first_ns: int = 0
    last: dict[str, int] = field(default_factory=dict)
    refused: dict[str, RefusedEvents] = field(default_factory=lambda: {sink: RefusedEvents() for sink in SINKS})


@dataclass(frozen=True, slots=True)
class Window:
    """Events whose own time is from `begin` to `end`, that were accepted from `since` to `until`; Unix nanoseconds, of
    whole milliseconds: the stores know no shorter ones."""

    begin: int
    end: int
    since: int
    until: int
    per: Per
    datasets: frozenset[str]


class Reading:
    """Reads the streams once."""

    def __init__(self, broker: Broker, contracts: Contracts, dead_letters: Index, deadline: float) -> None:
        """`deadline` by time.monotonic()."""
        self._broker = broker
        self._types = contracts.types
        self._dead_letters = dead_letters
        self._deadline = deadline
        self._refusals = {sink: Refusals() for sink in SINKS}
        self.groups: dict[Group, Accepted] = defaultdict(Accepted)
        self.unreadable = 0
        self._number = 0

    async def read(self, infos: Iterable[StreamInfo], window: Window) -> None:
        """Raises Refused QUERY_INVALID for too many events, Unavailable TIMED_OUT."""
        ahead = max((type.future_ns for type in self._types.values()), default=0) + _SKEW_NS
        since = max(window.since, window.begin - ahead)
        async for message in self._pages(STREAM, since, 1 << 62):
            self._dead_letter(message)
        for refusals in self._refusals.values():
            refusals.merge()
        for info in infos:
            async for message in self._pages(info.name, since, info.last_seq):
                if window.since <= message.stored_at_ns < window.until:
                    self._event(message, window)

    async def _pages(self, stream: str, since: int, last: int) -> AsyncIterator[StoredMessage]:
        sequence = await first_since(self._broker, stream, since)
        while sequence is not None and sequence <= last:
            page = await self._broker.jetstream.get_many(stream, sequence=sequence)
            if time.monotonic() > self._deadline:
                raise Unavailable(
                    "TIMED_OUT", "there is too much to compare at once: give less time by --from and --to"
                )
            for message in page:
                if message.sequence <= last:
                    yield message
            await asyncio.sleep(0)  # others are served meanwhile
            sequence = page[-1].sequence + 1 if page else None

    def _dead_letter(self, message: StoredMessage) -> None:
        state = self._dead_letters.state(message.sequence)
        head = dead_letter.head_of(message, state)
        if head.worker in SINKS and state != "redriven":
            self._refusals[head.worker].add(head)

    def _event(self, message: StoredMessage, window: Window) -> None:
        try:
            subject = parse_event(message.subject)
            dataset = self._types[subject.type].dataset
            value = orjson.loads(message.data)
            text = value.get("time")
            time_ns = timestamps.parse(text) if text is not None else message.stored_at_ns // MS * MS
            key = hash(event_key(subject.publisher, value["source"], value["id"], time_ns, subject.pp))
        except (Refused, ValueError, KeyError, TypeError, AttributeError):
            self.unreadable += 1
            for refusals in self._refusals.values():
                refusals.leave_out(message.stream, publisher_of(message.subject), message.sequence)
            return
        if not window.begin <= time_ns < window.end or (window.datasets and dataset not in window.datasets):
            return
        self._number += 1
        if self._number > MOST:
            raise Refused("QUERY_INVALID", f"there are more than {MOST:,} events: give less time by --from and --to")
        group = self.groups[dataset, timestamps.text(time_ns)[: PERIOD_CHARACTERS[window.per]]]
        group.keys.add(key)
        group.messages += 1
        group.first_ns = min(group.first_ns or message.stored_at_ns, message.stored_at_ns)
        group.last[message.stream] = message.sequence
        for sink, refusals in self._refusals.items():
            if refusals.has(message.stream, message.sequence):
                group.refused[sink].add(key, None)
            elif (span := refusals.span(message.stream, subject.publisher, message.sequence)) is not None:
                group.refused[sink].add(key, span)


def whole_ms(begin: int, end: int) -> tuple[int, int]:
    """Both as whole milliseconds, with all of the first and the last one."""
    return begin // MS * MS, -(-end // MS) * MS


def retained_since(infos: Iterable[StreamInfo], now_ns: int) -> int:
    """Since when the streams hold all that was accepted: what is older has been dropped from one of them at least, or
    was accepted before it was made anew."""
    return max(_since(info, now_ns) for info in infos)


def _since(info: StreamInfo, now_ns: int) -> int:
    if kept := int(info.config.get("max_age", 0) or 0):
        # Streams of events drop nothing but by age. What they drop while they are compared does not count.
        return max(info.created_ns, now_ns - kept + EXPIRING_NS)
    return info.created_ns if info.first_seq <= int(info.config.get("first_seq", 0) or 1) else info.first_ns


def is_behind(last: Mapping[str, int], floors: Mapping[str, int]) -> bool:
    """Whether a worker that has handled its streams up to `floors` has not handled all of a group yet."""
    return any(sequence > floors[stream] for stream, sequence in last.items())
