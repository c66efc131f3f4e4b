"""svc.store_replay.* as the operator asks it: the partitions of a selection, and their pages one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from penstock.broker import Broker
from penstock.contracts import subjects
from penstock.errors import PenstockError, Unavailable
from penstock.rpc.client import ask
from penstock.rpc.messages import MAX_PAGE, FedPage, FeedPage, ReplayRange, StoredPeriods, StoredUpTo, StoreSelection

ABREAST = 4  # partitions counted at a time
TIMEOUT = 10.0  # seconds for a page that is counted
# Seconds for a page that is fed. A writer that is killed leaves its page unanswered, and the run stands still for as
# long; a store that needs longer is asked for smaller pages.
FEED_TIMEOUT = 2.5
FIRST_PAGE, LEAST_PAGE = 200, 10  # records
PAGE_BYTES = 2 << 20  # wanted of a page: how large records are, the page before says

Partition = tuple[str, int]  # period and pp


async def periods(broker: Broker, begin: str | None, end: str | None) -> tuple[str, ...]:
    """The periods between two times that hold anything."""
    bounds = {name: each for name, each in (("begin", begin), ("end", end)) if each is not None}
    answer = await ask(broker, "store_replay", "periods", bounds, timeout=5.0)
    return tuple(StoredPeriods.model_validate(answer).periods)


def partitions(selection: StoreSelection) -> list[Partition]:
    """All that a selection reads, in order. An entity is in one partition of each period."""
    entity = selection.match.entity
    pps = range(subjects.PARTITIONS) if entity is None else [subjects.partition(entity)]
    return [(period, pp) for period in selection.periods for pp in pps]


async def each(places: Iterable[Partition], count: Callable[[Partition], Awaitable[None]]) -> None:
    """Calls `count` with every partition, ABREAST at a time. Raises the first PenstockError."""
    todo = iter(places)

    async def work() -> None:
        for place in todo:
            await count(place)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(ABREAST):
                group.create_task(work())
    except* PenstockError as failed:
        raise failed.exceptions[0] from None


def bounds_of(ranges: Iterable[ReplayRange], selection: StoreSelection) -> list[StoredUpTo]:
    """Up to where each stream is covered."""
    return [
        StoredUpTo(stream=part.stream, epoch=part.epoch, first=selection.lives.get(part.stream, 0), last=part.last)
        for part in ranges
    ]


class Pages:
    """Asks for pages that are about PAGE_BYTES large, and for half of one that took too long."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._limit = FIRST_PAGE

    async def ask(
        self,
        place: Partition,
        after: str | None,
        streams: list[StoredUpTo],
        selection: StoreSelection,
        *,
        run: str = "",
        target: str = "",
        most: int = MAX_PAGE,
        show: bool = False,
    ) -> FedPage:
        """One page; `show`: with a record or two. Raises Unavailable, as STREAM_FULL while REPLAY is full."""
        request = FeedPage(
            period=place[0],
            pp=place[1],
            after=after,
            limit=max(min(self._limit, most), 1),
            streams=streams,
            match=selection.match,
            run=run,
            target=target,
            show=show,
        )
        timeout = FEED_TIMEOUT if run else TIMEOUT
        try:
            answer = await ask(self._broker, "store_replay", "page", request.to_json(), timeout=timeout)
        except Unavailable as error:
            if error.code == "TIMED_OUT":
                self._limit = max(request.limit // 2, LEAST_PAGE)
            raise
        page = FedPage.model_validate(answer)
        if page.matched:
            wanted = max(PAGE_BYTES * page.matched // max(page.bytes, 1), LEAST_PAGE)
            self._limit = min(wanted, 2 * self._limit, MAX_PAGE)
        return page
