"""confirmed sequences → the stream's messages → svc.search.query or svc.store.get → equal, different or absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.broker import Broker, StoredMessage
from penstock.contracts import Contracts
from penstock.errors import Refused, Unavailable
from penstock.events import Checker, Event, timestamps
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import RecordMatch, ReplayRange, ReplaySample
from penstock.services.operator.replay.filters import ANY, tokens_of

Json = dict[str, Any]
AT_ONCE = 100  # keys in one request
TIMEOUT = 10.0  # seconds for each


class Sampler:
    """Compares what is at a store with the stream it came from. For runs of events to the indexer or the writer."""

    def __init__(self, broker: Broker, contracts: Contracts) -> None:
        self._broker = broker
        self._checker = Checker(contracts)
        self._contracts = contracts

    async def sample(self, run: Run, ledger: Ledger, most: int) -> ReplaySample | None:
        """Up to `most` confirmed messages of a run; None where the target keeps nothing that could be read by key."""
        of_scores = run.store is not None and run.store.match.model is not None
        if of_scores or run.source not in ("events", "store") or run.target not in ("indexer", "writer"):
            return None
        share = max(most // len(run.ranges), 1)
        events: list[Event] = []
        expired = 0
        for part in run.ranges:
            for sequence in ledger.confirmed(part.stream, share):
                try:
                    message = await self._broker.jetstream.get(part.stream, sequence=sequence)
                except Refused:
                    expired += 1
                    continue
                events.append(self._checker.delivered(message))
        found: dict[str, Json] = {}
        for begin in range(0, len(events), AT_ONCE):
            keys = [event.key for event in events[begin : begin + AT_ONCE]]
            found |= await (self._indexed(keys) if run.target == "indexer" else self._stored(keys))
        differ, absent = [], []
        for event in events:
            record = found.get(event.key)
            if record is None:
                absent.append(event.key)
            elif not _same(record, event):
                differ.append(event.key)
        return ReplaySample(
            store="elasticsearch" if run.target == "indexer" else "cassandra",
            compared=len(events),
            equal=len(events) - len(differ) - len(absent),
            expired=expired,
            differ=differ,
            absent=absent,
            in_store=await self._in_store(run) if run.target == "indexer" else None,
        )

    async def _indexed(self, keys: list[str]) -> dict[str, Json]:
        question = {"filters": [{"field": "@key", "op": "in", "value": keys}], "size": len(keys)}
        page = await self._ask("search", "query", question)
        return {hit["key"]: hit["record"] for hit in page["hits"] if hit.get("record")}

    async def _stored(self, keys: list[str]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        while keys:
            page = await self._ask("store", "get", {"keys": keys})
            found |= {record["key"]: record for record in page["records"]}
            left = page.get("left") or []
            if len(left) >= len(keys):
                break
            keys = left
        return found

    async def _in_store(self, run: Run) -> int:
        if run.store is not None:
            return await self._count_of(run.store.match)
        return await self._count(run.ranges)

    async def _count_of(self, match: RecordMatch) -> int:
        """Documents of what was read of the store; `planned` is how many records there were of it."""
        wanted = {"datasets": match.datasets, "types": match.types[:32]}
        question: Json = {name: each for name, each in wanted.items() if each}
        times = {name: each for name, each in (("from", match.begin), ("to", match.end)) if each is not None}
        if times:
            question["time"] = times
        if match.entity is not None:
            question["entity"] = match.entity
        if match.publishers:
            question["filters"] = [{"field": "@publisher", "op": "in", "value": match.publishers}]
        return int((await self._ask("search", "count", question))["total"])

    async def _count(self, ranges: Iterable[ReplayRange]) -> int:
        """Documents of the ranges' types, publishers and times of storing."""
        total = 0
        for part in ranges:
            door = self._contracts.streams[part.stream].door
            first = await self._nearest(part.stream, part.first)
            last = await self._nearest(part.stream, part.last)
            if first is None or last is None:
                continue
            conditions: list[Json] = [
                {"field": "@door", "op": "eq", "value": door},
                {"field": "@stored_at", "op": "gte", "value": timestamps.text(first.stored_at_ns)},
                {"field": "@stored_at", "op": "lte", "value": timestamps.text(last.stored_at_ns)},
            ]
            tokens = [tokens_of(filter) for filter in part.filters]
            if publishers := sorted({each[3] for each in tokens} - {ANY}):
                conditions.append({"field": "@publisher", "op": "in", "value": publishers})
            question: Json = {"filters": conditions}
            if types := sorted({".".join(each[4:]) for each in tokens} - {">"}):
                question["types"] = types[:32]
            total += (await self._ask("search", "count", question))["total"]
        return total

    async def _ask(self, service: str, operation: str, question: Json) -> Json:
        """One request, and once more when the worker is too busy with what it has to store."""
        try:
            return await ask(self._broker, service, operation, question, timeout=TIMEOUT)
        except Unavailable:
            return await ask(self._broker, service, operation, question, timeout=TIMEOUT)

    async def _nearest(self, stream: str, sequence: int) -> StoredMessage | None:
        page = await self._broker.jetstream.get_many(stream, sequence=sequence, most=1)
        return page[0] if page else None


def _same(record: Mapping[str, Any], event: Event) -> bool:
    """Whether the record is the event as its stream has it, or one of the same key that was stored later."""
    if record.get("event") == event.value:
        return True
    return timestamps.parse(record["stored_at"]) > event.stored_at_ns
