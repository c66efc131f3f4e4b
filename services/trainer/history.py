"""Elasticsearch → events of the past, a fair sample of each type, in an order that is the same each time.

A point in time, read by search_after on _shard_doc: the fastest whole scan, and one that new events do not disturb.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from penstock.contracts import Contracts, EventType
from penstock.elasticsearch.failure import reason_of
from penstock.errors import Refused, Unavailable

PAGE = 2_000
KEEP_ALIVE = "2m"
LEAST = 100  # events in all; fewer say nothing about what is usual

Item = tuple[str, dict[str, Any], str]


@dataclass(slots=True)
class History:
    """What a model is trained on, and where it came from; `items` as the extractor takes them, sorted by key."""

    items: list[Item] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)  # by type: taken
    totals: dict[str, int] = field(default_factory=dict)  # by type: there
    sequences: dict[str, tuple[int, int]] = field(default_factory=dict)  # by stream: first and last
    digest: str = ""


def read_history(client: Elasticsearch, contracts: Contracts, *, types: list[str], limit: int, seed: int) -> History:
    """Up to `limit` events, shared out evenly between the types that have so many.

    Raises Refused HISTORY_TOO_SHORT, Unavailable STORE_UNAVAILABLE.
    """
    selected = [contracts.types[name] for name in types]
    try:
        return _read(client, selected, limit, seed)
    except (ApiError, TransportError) as error:
        raise Unavailable("STORE_UNAVAILABLE", f"Elasticsearch: {reason_of(error)}") from error


def _read(client: Elasticsearch, types: list[EventType], limit: int, seed: int) -> History:
    history = History()
    for type in types:
        history.totals[type.type] = _count(client, type)
    quotas = share_out(history.totals, limit)
    found: list[tuple[str, Item]] = []
    for type in types:
        taken = 0
        if quotas[type.type]:
            for record in _records(client, type, quotas[type.type] / history.totals[type.type], seed):
                found.append((record["key"], (type.type, record["event"], record["entity"])))
                _widen(history.sequences, record["stream"], record["sequence"])
                taken += 1
        history.counts[type.type] = taken
    if len(found) < LEAST:
        raise Refused("HISTORY_TOO_SHORT", f"{len(found)} events are there to train on; {LEAST} are needed")
    found.sort(key=lambda pair: pair[0])
    history.items = [item for _, item in found]
    history.digest = sha256("\n".join(key for key, _ in found).encode()).hexdigest()
    return history


def share_out(totals: dict[str, int], limit: int) -> dict[str, int]:
    """How many events of each type to take: small types whole, the rest in equal shares."""
    quotas = dict.fromkeys(totals, 0)
    left = limit
    for place, (name, total) in enumerate(sorted(totals.items(), key=lambda pair: (pair[1], pair[0]))):
        quotas[name] = min(total, left // (len(totals) - place))
        left -= quotas[name]
    return quotas


def _count(client: Elasticsearch, type: EventType) -> int:
    answer = client.count(index=_alias(type), query=_query(type), ignore_unavailable=True)
    return int(answer["count"])


def _records(client: Elasticsearch, type: EventType, share: float, seed: int) -> Iterator[dict[str, Any]]:
    """The stored records of a type, or a random `share` of them: the same for the same index and seed."""
    query: dict[str, Any] = _query(type)
    least: float | None = None
    if share < 1:
        random = {"seed": seed, "field": "_seq_no"}
        query = {"function_score": {"query": query, "random_score": random, "boost_mode": "replace"}}
        least = 1 - share
    point = client.open_point_in_time(index=_alias(type), keep_alive=KEEP_ALIVE)["id"]
    after: list[Any] | None = None
    try:
        while True:
            page = client.search(
                pit={"id": point, "keep_alive": KEEP_ALIVE},
                query=query,
                min_score=least,
                sort=[{"_shard_doc": "asc"}],
                search_after=after,
                size=PAGE,
                track_total_hits=False,
                allow_partial_search_results=False,
                source={"includes": ["key", "entity", "stream", "sequence", "event.source", "event.data"]},
            )
            point = page["pit_id"]
            hits = page["hits"]["hits"]
            for hit in hits:
                yield hit["_source"]
            if len(hits) < PAGE:
                return
            after = hits[-1]["sort"]
    finally:
        with suppress(ApiError, TransportError):  # it expires by itself
            client.close_point_in_time(id=point)


def _alias(type: EventType) -> str:
    return f"events-{type.dataset}"


def _query(type: EventType) -> dict[str, Any]:
    return {"bool": {"filter": [{"term": {"event.type": type.type}}]}}


def _widen(sequences: dict[str, tuple[int, int]], stream: str, sequence: int) -> None:
    first, last = sequences.get(stream, (sequence, sequence))
    sequences[stream] = min(first, sequence), max(last, sequence)
