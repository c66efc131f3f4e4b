"""a message of SCORES (contracts/records/score.v1.yaml) → what one model version said of one event, checked"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from penstock.contracts import Contracts, subjects
from penstock.errors import Refused
from penstock.events import Delivered, ijson, key_partition, key_time_ms, timestamps
from penstock.events.records import check_payload

RECORD = "score.v1"


@dataclass(slots=True)
class Score:
    """What the stores need of a score; `raw` is its JSON on one line, `stream` and `sequence` those of its event.
    `epoch` of that stream, where it is not the present one."""

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
    entity: str
    epoch: int = 0


def read_score(delivery: Delivered, contracts: Contracts) -> Score:
    """The score in a delivery. Raises Refused SCORE_INVALID or SUBJECT_MISMATCH."""
    try:
        value = orjson.loads(delivery.data)
        check_payload(contracts.records[RECORD], value)
        score = _score(value, delivery.data)
        _check(value, score, contracts)
    except Refused as error:
        raise Refused("SCORE_INVALID", error.detail, pointer=error.pointer) from None
    except (orjson.JSONDecodeError, KeyError, ValueError) as error:
        raise Refused("SCORE_INVALID", f"{type(error).__name__}: {error}") from None
    if delivery.subject != subjects.score(score.pp, score.model, value["type"]):
        raise Refused("SUBJECT_MISMATCH", f"{delivery.subject} holds a score of {value['type']} by {score.model}")
    return score


def _score(value: dict[str, Any], raw: bytes) -> Score:
    model = value["model"]
    return Score(  # by position: names would cost a worker half a microsecond a score
        value["key"],
        ijson.one_line(raw),
        value["dataset"],
        model["name"],
        model["version"],
        value["pp"],
        value["time_ms"],
        value["stream"],
        value["sequence"],
        timestamps.parse(value["stored_at"]),
        value["entity"],
    )


def _check(value: dict[str, Any], score: Score, contracts: Contracts) -> None:
    """What the schema of a score does not say."""
    if key_time_ms(score.key) != score.time_ms or key_partition(score.key) != score.pp:
        raise ValueError(f"{score.key!r} is not the key of an event at {score.time_ms} in partition {score.pp}")
    if contracts.types[value["type"]].dataset != score.dataset:
        raise ValueError(f"{value['type']} is not in dataset {score.dataset!r}")
    stream = contracts.streams.get(score.stream)
    if stream is None or stream.door is None:
        raise ValueError(f"{score.stream!r} is not a stream of events")
    if not subjects.is_token(score.model):
        raise ValueError(f"{score.model!r} does not name a model")
    if not (type(score.version) is type(score.sequence) is type(score.pp) is type(score.time_ms) is int):
        raise ValueError("version, sequence, pp and time_ms must be written as whole numbers")  # so not as 3.0
