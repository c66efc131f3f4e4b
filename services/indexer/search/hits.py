"""keys → hits with their records, within what fits into one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from penstock.contracts import Contracts
from penstock.elasticsearch import names
from penstock.events import key_time_ms
from penstock.rpc.messages import Anomaly, Hit
from penstock.services.indexer.search.elastic import Elastic

Json = dict[str, Any]
ROOM = 900 * 1024  # bytes; the broker takes messages of 1 MiB
_AT_ONCE = 25  # records fetched together, each at most 264 KiB
# Members of a score that an answer shows.
SHOWN = ("key", "type", "dataset", "time", "entity", "score", "raw", "pattern", "pattern_id", "model")


@dataclass(slots=True)
class Found:
    """An event that a search found: where it is, its likeness or relevance, and its score where there is one."""

    key: str
    dataset: str
    score: float | None = None
    scored: Json | None = None
    highlight: dict[str, list[str]] | None = None
    sort: list[Any] = field(default_factory=list)


def anomaly(scored: Json) -> Anomaly:
    """The part of a score document that an answer shows."""
    return Anomaly.model_validate(
        {name: scored.get(name) for name in ("score", "raw", "pattern", "pattern_id", "model")}
    )


async def with_records(elastic: Elastic, contracts: Contracts, found: Sequence[Found]) -> tuple[list[Hit], int]:
    """Hits for the events found, in order, as far as there is room, and how many of those found they cover.

    An event whose record is not there (yet) is shown by its score; without one it is left out.
    """
    hits: list[Hit] = []
    room = ROOM
    for begin in range(0, len(found), _AT_ONCE):
        part = found[begin : begin + _AT_ONCE]
        places = [(names.events_alias(each.dataset, key_time_ms(each.key)), each.key) for each in part]
        for number, (each, record) in enumerate(zip(part, await elastic.get(places), strict=True)):
            hit = _hit(contracts, each, record)
            if hit is None:
                continue
            room -= len(orjson.dumps(hit.to_json()))
            if room < 0 and hits:
                return hits, begin + number
            hits.append(hit)
    return hits, len(found)


def _hit(contracts: Contracts, found: Found, record: Json | None) -> Hit | None:
    shown = None if found.scored is None else anomaly(found.scored)
    if record is not None:
        type, time, entity = record["event"]["type"], record["time"], record["entity"]
        dataset = contracts.types[type].dataset
    elif found.scored is not None:
        type, dataset, time, entity = (found.scored[name] for name in ("type", "dataset", "time", "entity"))
    else:
        return None
    return Hit(
        key=found.key,
        type=type,
        dataset=dataset,
        time=time,
        entity=entity,
        record=record,
        score=found.score,
        anomaly=shown,
        highlight=found.highlight,
    )
