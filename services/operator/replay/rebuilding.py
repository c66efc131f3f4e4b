"""A run that rebuilds an index: an index beside the live one, live lines in both, the store's records, check, swap.

    index made ─▶ every indexer writes live lines to both (rebuild.LEASE) ─▶ end of the streams read ─▶ writer is there
    ─▶ records up to that end are fed ─▶ counts and samples agree ─▶ swap

What is stored behind that end is delivered to an indexer that writes it to both; what lies before it is in the store.
"""

from __future__ import annotations

import random
import time

from penstock.broker import Broker, StreamInfo
from penstock.contracts import Contracts
from penstock.errors import Unavailable
from penstock.events import timestamps
from penstock.replay import rebuild
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import MAX_CHECKED, ReplayRange, StoreSelection
from penstock.services.operator.replay import store_pages
from penstock.services.operator.replay.from_store import FromStore
from penstock.services.operator.replay.indices import RebuiltIndices
from penstock.services.operator.replay.runs import Runs

MARGIN = 1.0  # seconds beyond the lease, for lines that were on their way
WRITER = "writer"


class Rebuilding(FromStore):
    """Feeds the run once both indices are kept current."""

    def __init__(self, runs: Runs, contracts: Contracts, run: Run) -> None:
        super().__init__(runs, run)
        self._broker = runs.broker
        self._contracts = contracts
        self._indices = RebuiltIndices(runs)
        self._opened_at = 0.0
        self._ends: dict[str, StreamInfo] = {}

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """The ranges up to the end of the streams. Raises Unavailable until all is prepared."""
        del slot
        await self._indices.open(run.alias, run.id)
        self._opened_at = self._opened_at or time.monotonic()
        if time.monotonic() - self._opened_at < rebuild.LEASE + MARGIN:
            raise Unavailable("SERVICE_UNAVAILABLE", "indexers may not know of the rebuild yet", retry_after=1)
        if not self._ends:
            self._ends = {name: await self._broker.jetstream.stream_info(name) for name in self.selection.lives}
        for name, info in self._ends.items():
            writer = await self._broker.jetstream.consumer_info(name, WRITER)
            if (writer.pending or writer.ack_pending) and writer.ack_floor_stream_seq < info.last_seq:
                raise Unavailable("SERVICE_UNAVAILABLE", f"the writer is not at {name} {info.last_seq} yet")
        planned = {part.stream: part for part in run.ranges}
        return tuple(_range(info, planned.get(name)) for name, info in self._ends.items())


class Swapping:
    """Ends a rebuild whose records all have an outcome."""

    def __init__(self, runs: Runs) -> None:
        self._broker = runs.broker
        self._indices = RebuiltIndices(runs)

    async def complete(self, run: Run, ledger: Ledger) -> str:
        """Checks the new index and swaps it in; why that is not done, or nothing."""
        found, revision = await self._indices.of_run(run.id)
        if found.state != "filling":
            return ""
        if await self._indices.is_live(found):  # swapped by a leader that was killed before it could note it
            await self._indices.swap(found, revision)
            return ""
        outcomes = ledger.all
        if outcomes.parked or outcomes.filtered:
            return f"{outcomes.parked + outcomes.filtered} records could not be indexed; the live index stays"
        records = await sample(self._broker, run)
        checked = await self._indices.check(run.alias, list(records))
        if checked.count < ledger.total:
            return f"{found.index} holds {checked.count} documents of {ledger.total} records; the live index stays"
        wrong = [key for key, record in records.items() if not _holds(checked.documents.get(key), record)]
        if wrong:
            return f"{found.index} differs from the store in {len(wrong)} of {len(records)}, like {wrong[0]}"
        await self._indices.swap(found, revision)
        return ""


async def sample(broker: Broker, run: Run) -> dict[str, dict[str, object]]:
    """Records of the run by key, about one of each partition, at random times within its bounds."""
    selection: StoreSelection | None = run.store
    if selection is None:
        return {}
    pages, streams = store_pages.Pages(broker), store_pages.bounds_of(run.ranges, selection)
    places = store_pages.partitions(selection)
    keys: list[str] = []
    for place in random.sample(places, min(len(places), MAX_CHECKED)):
        page = await pages.ask(place, _key_at(_moment(selection)), streams, selection, most=1)
        if not page.scanned:
            page = await pages.ask(place, None, streams, selection, most=1)
        if page.matched and page.last_key is not None:
            keys.append(page.last_key)
    records: dict[str, dict[str, object]] = {}
    left = keys
    while left:
        answer = await ask(broker, "store", "get", {"keys": left}, timeout=store_pages.TIMEOUT)
        records |= {record["key"]: record for record in answer["records"]}
        left = answer.get("left") or []
    return records


def _range(info: StreamInfo, planned: ReplayRange | None) -> ReplayRange:
    first = min(planned.first, info.first_seq) if planned is not None else max(info.first_seq, 1)
    number = planned.planned if planned is not None else 0
    return ReplayRange(
        stream=info.name, epoch=info.epoch, first=max(first, 1), last=info.last_seq, filters=(), planned=number
    )


def _moment(selection: StoreSelection) -> int:
    """Unix milliseconds within the bounds of a selection."""
    begin = timestamps.parse(selection.match.begin) if selection.match.begin else 0
    end = timestamps.parse(selection.match.end) if selection.match.end else time.time_ns()
    return random.randint(begin, max(min(end, time.time_ns()), begin)) // 1_000_000  # noqa: S311 - a sample


def _key_at(ms: int) -> str:
    """The lowest key of a millisecond."""
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-8000-8000-000000000000"


def _holds(document: dict[str, object] | None, record: dict[str, object]) -> bool:
    """Whether the document is the record, or a later one of its key."""
    if document is None:
        return False
    return document == record or timestamps.parse(str(document["stored_at"])) > timestamps.parse(
        str(record["stored_at"])
    )
