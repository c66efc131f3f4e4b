"""spans and dead letters of a redrive → how many messages they are, by type, publisher and day, and their bytes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.errors import Refused
from penstock.rpc.messages import ReplayCounts, ReplayRange
from penstock.services.operator.dead_letters.choose import Choice
from penstock.services.operator.dead_letters.chosen import Span
from penstock.services.operator.replay.breakdown import Breakdown
from penstock.services.operator.replay.counting import Counters

MOST_SPANS = 500  # counted one by one
BROKEN_DOWN = 20  # spans whose messages are also counted by type and day
SECONDS = 20.0  # for the counts
RANGES = "(of ranges)"  # type and day of messages of ranges beyond BROKEN_DOWN


class RedriveCounts:
    """Counts, within SECONDS each."""

    def __init__(self, broker: Broker, contracts: Contracts, counters: Counters) -> None:
        self._broker = broker
        self._contracts = contracts
        self._counters = counters

    async def of_spans(self, spans: Sequence[Span]) -> tuple[list[Span], bool]:
        """The spans with their numbers of messages, and whether all are exact."""
        if len(spans) > MOST_SPANS:
            raise Refused(
                "REPLAY_FILTER_INVALID",
                f"the ranges are {len(spans)} parts of their streams; at most {MOST_SPANS} go into one plan",
            )
        deadline = time.monotonic() + SECONDS
        counts = await asyncio.gather(
            *(
                self._counters.count(span.stream, (span.filter,), span.first, span.last, deadline=deadline)
                for span in spans
            )
        )
        found = [replace(span, planned=count.number) for span, count in zip(spans, counts, strict=True)]
        return found, all(count.exact for count in counts)

    async def of_choice(self, choice: Choice) -> tuple[ReplayCounts, int]:
        """All numbers, and the bytes."""
        sent = choice.sent
        tables = [Counter(each.type for each in sent), Counter(each.publisher for each in sent)]
        tables.append(Counter(each.day for each in sent))
        size = choice.bytes
        for span in choice.spans:
            info = choice.infos[span.stream]
            size += span.planned * info.bytes // max(info.messages, 1)
        if len(choice.spans) <= BROKEN_DOWN:
            breakdown = Breakdown(self._broker, self._counters, self._contracts, time.monotonic() + SECONDS)
            parts = [_part(span, choice) for span in choice.spans]
            found, _ = await breakdown.of(parts)
            for table, more in zip(tables, (found.by_type, found.by_publisher, found.by_day), strict=True):
                table.update(more)
        else:
            for table in tables:
                table[RANGES] += sum(span.planned for span in choice.spans)
        by_type, by_publisher, by_day = (dict(sorted(table.items())) for table in tables)
        total = len(sent) + sum(span.planned for span in choice.spans)
        return ReplayCounts(total=total, by_type=by_type, by_publisher=by_publisher, by_day=by_day), size


def _part(span: Span, choice: Choice) -> ReplayRange:
    return ReplayRange(
        stream=span.stream,
        epoch=choice.infos[span.stream].epoch,
        first=span.first,
        last=span.last,
        filters=(span.filter,),
        planned=span.planned,
    )
