"""counts of a selection by type, by publisher and by day, each with the server's own numbers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from penstock.broker import Broker
from penstock.contracts import Contracts
from penstock.rpc.messages import ReplayCounts, ReplayRange
from penstock.services.operator.replay.bounds import first_since
from penstock.services.operator.replay.counting import Count, Counters
from penstock.services.operator.replay.filters import NAMES, tokens_of

DAY_NS = 86_400 * 1_000_000_000
MOST_NAMED = 40  # publishers or types counted one by one; the others together
MOST_DAYS = 32
OTHERS = "(others)"


class Breakdown:
    """Counts the ranges of one plan, within `deadline` (time.monotonic() seconds)."""

    def __init__(self, broker: Broker, counters: Counters, contracts: Contracts, deadline: float) -> None:
        self._broker = broker
        self._counters = counters
        self._contracts = contracts
        self._deadline = deadline

    async def count(self, part: ReplayRange) -> Count:
        """All of a range."""
        return await self._count(part, part.filters, part.first, part.last)

    async def of(self, ranges: Iterable[ReplayRange]) -> tuple[ReplayCounts, bool]:
        """Of ranges whose `planned` is known; and whether every number is exact."""
        parts = list(ranges)
        tables: list[dict[str, Count]] = [defaultdict(lambda: Count(0)) for _ in range(3)]
        for found in await asyncio.gather(*(self._of_range(part) for part in parts)):
            for table, counts in zip(tables, found, strict=True):
                for name, count in counts.items():
                    table[name] += count
        by_type, by_publisher, by_day = ({n: c.number for n, c in sorted(t.items()) if c.number} for t in tables)
        exact = all(count.exact for table in tables for count in table.values())
        total = sum(part.planned for part in parts)
        return ReplayCounts(total=total, by_type=by_type, by_publisher=by_publisher, by_day=by_day), exact

    async def _of_range(self, part: ReplayRange) -> tuple[dict[str, Count], dict[str, Count], dict[str, Count]]:
        pairs = await self._pairs(part)
        by_type, by_publisher, by_day = await asyncio.gather(
            self._named(part, {type for _, type in pairs}, 1),
            self._named(part, {publisher for publisher, _ in pairs}, 0),
            self._by_day(part),
        )
        return by_type, by_publisher, by_day

    async def _pairs(self, part: ReplayRange) -> set[tuple[str, str]]:
        """(publisher or model, type) of every subject that the stream holds and the range matches."""
        found = set()
        for filter in {".".join(["*", "*", *tokens_of(each)[2:]]) for each in part.filters}:
            for subject in await self._broker.jetstream.subjects_of(part.stream, filter):
                name, begin = NAMES[subject.split(".", 1)[0]]
                tokens = subject.split(".")
                found.add((tokens[name], ".".join(tokens[begin:])))
        return found

    async def _named(self, part: ReplayRange, names: set[str], which: int) -> dict[str, Count]:
        listed = sorted(names)
        if len(listed) == 1:
            return {listed[0]: Count(part.planned)}
        counts = await asyncio.gather(
            *(self._count(part, _narrowed(part, name, which), part.first, part.last) for name in listed[:MOST_NAMED])
        )
        found = dict(zip(listed, counts, strict=False))
        if len(listed) > MOST_NAMED:
            rest = part.planned - sum(count.number for count in counts)
            found[OTHERS] = Count(rest, all(count.exact for count in counts))
        return found

    async def _by_day(self, part: ReplayRange) -> dict[str, Count]:
        """By the UTC day on which the stream stored them."""
        begin = (await self._broker.jetstream.get(part.stream, sequence=part.first)).stored_at_ns // DAY_NS
        end = (await self._broker.jetstream.get(part.stream, sequence=part.last)).stored_at_ns // DAY_NS
        if begin == end or end - begin > MOST_DAYS:
            return {_day(begin): Count(part.planned)}
        edges = [part.first]
        for day in range(begin + 1, end + 1):
            edges.append(await first_since(self._broker, part.stream, day * DAY_NS) or part.last + 1)
        edges.append(part.last + 1)
        counts = await asyncio.gather(
            *(self._count(part, part.filters, edges[n], edges[n + 1] - 1) for n in range(len(edges) - 1))
        )
        return {_day(begin + n): count for n, count in enumerate(counts)}

    async def _count(self, part: ReplayRange, filters: tuple[str, ...], first: int, last: int) -> Count:
        return await self._counters.count(part.stream, filters, first, last, deadline=self._deadline)


def _narrowed(part: ReplayRange, name: str, which: int) -> tuple[str, ...]:
    """The filters of a range, for one publisher (0) or one type (1) only."""
    found = []
    for filter in part.filters:
        tokens = tokens_of(filter)
        place, begin = NAMES[tokens[0]]
        if which == 1:
            if tokens[begin:] == [">"] or ".".join(tokens[begin:]) == name:
                found.append(".".join([*tokens[:begin], name]))
        elif tokens[place] in ("*", name):
            found.append(".".join([*tokens[:place], name, *tokens[place + 1 :]]))
    return tuple(dict.fromkeys(found))


def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_NS / 1e9, UTC).strftime("%Y-%m-%d")
