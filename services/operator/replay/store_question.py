"""What a run replayed → the question to svc.search.count that means the same, where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.rpc.messages import RecordMatch
from penstock.services.operator.replay.filters import ANY, tokens_of

Json = dict[str, Any]
MOST_TYPES = 32  # in one question


def of_records(match: RecordMatch) -> Json | None:
    """Of events read from the store. None for scores, for single periods of a shared index and for too many types."""
    if match.model is not None or match.version is not None or match.within or len(match.types) > MOST_TYPES:
        return None
    wanted = {"datasets": match.datasets, "types": match.types}
    question: Json = {name: each for name, each in wanted.items() if each}
    times = {name: each for name, each in (("from", match.begin), ("to", match.end)) if each is not None}
    if times:
        question["time"] = times
    if match.entity is not None:
        question["entity"] = match.entity
    if match.publishers:
        question["filters"] = [{"field": "@publisher", "op": "in", "value": match.publishers}]
    return question


def of_subjects(filters: Sequence[str], match: Mapping[str, str]) -> Json | None:
    """Of events of a stream: filter subjects, and what the target itself filters by. None for too many types."""
    tokens = [tokens_of(filter) for filter in filters]
    types = sorted({".".join(each[4:]) for each in tokens} - {">"})
    if len(types) > MOST_TYPES:
        return None
    conditions: list[Json] = []
    if publishers := sorted({each[3] for each in tokens} - {ANY}):
        conditions.append({"field": "@publisher", "op": "in", "value": publishers})
    if "key" in match:
        conditions.append({"field": "@key", "op": "eq", "value": match["key"]})
    question: Json = {"filters": conditions}
    if types:
        question["types"] = types
    if "entity" in match:
        question["entity"] = match["entity"]
    return question
