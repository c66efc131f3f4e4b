"""events, answers of the model → score records, as penstock.scoring.score describes them. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from penstock.contracts import subjects
from penstock.events import Event, timestamps
from penstock.publish import Outgoing
from penstock.scoring.features import Features
from penstock.scoring.vectors import DIMS
from penstock.services.scorer.model import Answers, Identity

_ROW = 4 * DIMS  # bytes of a vector


@dataclass(frozen=True, slots=True)
class Scored:
    """A score on its way: the message for SCORES, and the number for whoever waits."""

    outgoing: Outgoing
    score: float


def score_records(events: Sequence[Event], features: Features, answers: Answers, by: Identity) -> list[Scored]:
    """One record per event; `features` and `answers` are those of the same events, in their order."""
    vectors = answers.vector.astype(">f4").tobytes()
    scores = np.clip(answers.score, 0, 1).astype(float).round(7).tolist()
    raws = answers.raw.astype(float).round(4).tolist()
    model = orjson.Fragment(orjson.dumps(by.to_json()))
    found = []
    for row, event in enumerate(events):
        pattern, type = features.patterns[row], event.type
        body = {
            "key": event.key,
            "type": type.type,
            "dataset": type.dataset,
            "time": timestamps.text(event.time_ns),
            "time_ms": event.time_ms,
            "entity": event.entity,
            "publisher": event.publisher,
            "pp": event.pp,
            "stream": event.stream,
            "sequence": event.sequence,
            "stored_at": timestamps.text(event.stored_at_ns),
            "model": model,
            "score": scores[row],
            "raw": raws[row],
            "pattern": pattern.text,
            "pattern_id": pattern.id,
            "vector": b64encode(vectors[row * _ROW : (row + 1) * _ROW]).decode(),
            "fields": indexed_fields(event),
        }
        headers = {"traceparent": event.traceparent} if event.traceparent else None
        subject = subjects.score(event.pp, by.name, type.type)
        found.append(Scored(Outgoing(subject, orjson.dumps(body), headers), scores[row]))
    return found


def indexed_fields(event: Event) -> dict[str, Any]:
    """The values of the indexed members of the event's data, by path; below arrays, a list of all."""
    data = event.value.get("data")
    if data.__class__ is not dict:
        return {}
    plain, deep = event.type.indexed_paths
    found = {path: value for path in plain if (value := data.get(path)) is not None}
    for path, first, rest in deep:
        value = data.get(first)
        if value is not None:
            for name in rest:
                value = _member(value, name)
            if value is not None:
                found[path] = value
    return found


def _member(value: Any, name: str) -> Any:
    if value.__class__ is dict:
        return value.get(name)
    if value.__class__ is list:
        members = [member for item in value if (member := _member(item, name)) is not None]
        return members or None
    return None


assert np.dtype(">f4").itemsize * DIMS == _ROW  # noqa: S101  what the slices above rely on
