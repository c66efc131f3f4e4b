"""A score on the wire (stream SCORES): what one model version said of one event, and whose event it was.

    {"key", "type", "dataset", "time", "time_ms", "entity", "publisher", "pp", "stream", "sequence", "stored_at",
     "model": {"name", "version", "schema", "digest"}, "score", "raw", "pattern", "pattern_id", "vector", "fields"}

`stream`, `sequence` and `stored_at` are those of the event that was scored, so that scoring it again writes the same
rows; `vector` is penstock.scoring.vectors text, `fields` maps the paths of the event's indexed members to their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson

from penstock.contracts import Contracts, subjects
from penstock.errors import Refused
from penstock.events import Delivered, ijson, is_key, key_partition, key_time_ms, timestamps
from penstock.scoring import vectors


@dataclass(slots=True)
class Score:
    """What the stores need of a score; `raw` is its JSON on one line, `stream` and `sequence` those of its event."""

    key: str
    raw: bytes
    dataset: str
    model: str
    version: int
    pp: int
    time_ms: int
    stream: str
    sequence: int
    stored_at_ns: int


def read_score(delivery: Delivered, contracts: Contracts) -> Score:
    """The score in a delivery. Raises Refused SCORE_INVALID or SUBJECT_MISMATCH."""
    try:
        value = orjson.loads(delivery.data)
        score = _score(value, delivery.data)
        _check(value, score, contracts)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Refused("SCORE_INVALID", f"{type(error).__name__}: {error}") from None
    if delivery.subject != subjects.score(score.pp, score.model, value["type"]):
        raise Refused("SUBJECT_MISMATCH", f"{delivery.subject} holds a score of {value['type']} by {score.model}")
    return score


def _score(value: dict[str, Any], raw: bytes) -> Score:
    model = value["model"]
    return Score(
        key=value["key"],
        raw=ijson.one_line(raw),
        dataset=value["dataset"],
        model=model["name"],
        version=model["version"],
        pp=value["pp"],
        time_ms=value["time_ms"],
        stream=value["stream"],
        sequence=value["sequence"],
        stored_at_ns=timestamps.parse(value["stored_at"]),
    )


def _check(value: dict[str, Any], score: Score, contracts: Contracts) -> None:
    if not is_key(score.key) or key_time_ms(score.key) != score.time_ms or key_partition(score.key) != score.pp:
        raise ValueError(f"{score.key!r} is not the key of an event at {score.time_ms} in partition {score.pp}")
    if contracts.types[value["type"]].dataset != score.dataset:
        raise ValueError(f"{value['type']} is not in dataset {score.dataset!r}")
    stream = contracts.streams.get(score.stream)
    if stream is None or stream.door is None:
        raise ValueError(f"{score.stream!r} is not a stream of events")
    if not subjects.is_token(score.model):
        raise ValueError(f"{score.model!r} does not name a model")
    for name, number in (("version", score.version), ("sequence", score.sequence)):
        if type(number) is not int or not 1 <= number < 1 << 48:
            raise ValueError(f"{name} {number!r} is not a positive whole number")
    for name in ("score", "raw"):
        if type(value[name]) not in (int, float) or not isfinite(value[name]):
            raise ValueError(f"{name} {value[name]!r} is not a number")
    if not 0 <= value["score"] <= 1:
        raise ValueError(f"score {value['score']!r} is not between 0 and 1")
    if not isinstance(value["fields"], dict):
        raise ValueError("fields must be an object")
    vectors.from_text(value["vector"])
