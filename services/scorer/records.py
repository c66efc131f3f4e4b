"""events, answers of the model → score records, as penstock.scores describes them. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from penstock import subjects, timestamps
from penstock.commit import Outgoing
from penstock.event import Event
from penstock.scoring.features import Features
from penstock.vectors import DIMS
from services.scorer.model import Answers, Identity

_ROW = 4 * DIMS  # bytes of a vector


@dataclass(frozen=True, slots=True)
class Scored:
    """A score on its way: the message for SCORES, and the number for whoever waits."""

    outgoing: Outgoing
    score: float


def score_records(events: Sequence[Event], features: Features, answers: Answers, by: Identity) -> list[Scored]:
    """One record per event; `features` and `answers` are those of the same events, in their order."""
    vectors = answers.vector.astype(">f4").tobytes()
    model = by.wire()
    found = []
    for row, event in enumerate(events):
        pattern = features.patterns[row]
        score = round(min(max(float(answers.score[row]), 0.0), 1.0), 7)
        body = {
            "key": event.key,
            "type": event.type.type,
            "dataset": event.type.dataset,
            "time": timestamps.text(event.time_ns),
            "time_ms": event.time_ms,
            "entity": event.entity,
            "publisher": event.publisher,
            "pp": event.pp,
            "stream": event.stream,
            "sequence": event.sequence,
            "stored_at": timestamps.text(event.stored_at_ns),
            "model": model,
            "score": score,
            "raw": round(float(answers.raw[row]), 4),
            "pattern": pattern.text,
            "pattern_id": pattern.id,
            "vector": b64encode(vectors[row * _ROW : (row + 1) * _ROW]).decode(),
            "fields": indexed_fields(event),
        }
        headers = {"traceparent": event.traceparent} if event.traceparent else None
        subject = subjects.score(event.pp, by.name, event.type.type)
        found.append(Scored(Outgoing(subject, orjson.dumps(body), headers), score))
    return found


def indexed_fields(event: Event) -> dict[str, Any]:
    """The values of the indexed members of the event's data, by path; below arrays, a list of all."""
    data = event.value.get("data")
    found = {}
    for path in event.type.indexed:
        value = data
        for name in path.split("."):
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
