"""confirmed sequences → the stream's messages → svc.search.query or svc.store.get → equal, different or absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.broker import Broker, StoredMessage
from penstock.contracts import Contracts
from penstock.errors import Refused, Unavailable
from penstock.events import Checker, Event, timestamps
from penstock.replay.ledger import Ledger
from penstock.replay.run import Run
from penstock.rpc.client import ask
from penstock.rpc.messages import ReplayRange, ReplaySample
from penstock.services.operator.replay import store_question

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

    async def _in_store(self, run: Run) -> int | None:
        """Documents of what was replayed, or None where no question means just that."""
        if run.store is not None:
            question = store_question.of_records(run.store.match)
            return None if question is None else await self._count(question)
        total = 0
        for part in run.ranges:
            question = store_question.of_subjects(part.filters, run.match)
            if question is None:
                return None
            if (stored := await self._stored_within(part)) is not None:
                question["filters"] += stored
                total += await self._count(question)
        return total

    async def _stored_within(self, part: ReplayRange) -> list[Json] | None:
        """Conditions of the range's stream and times of storing; None where the stream has nothing of it any more."""
        first = await self._nearest(part.stream, part.first)
        last = await self._nearest(part.stream, part.last)
        if first is None or last is None:
            return None
        return [
            {"field": "@door", "op": "eq", "value": self._contracts.streams[part.stream].door},
            {"field": "@stored_at", "op": "gte", "value": timestamps.text(first.stored_at_ns)},
            {"field": "@stored_at", "op": "lte", "value": timestamps.text(last.stored_at_ns)},
        ]

    async def _count(self, question: Json) -> int:
        return int((await self._ask("search", "count", question))["total"])

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
