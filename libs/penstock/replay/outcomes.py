"""What became of the messages of a batch → one record on `replay_log.<worker>.<run>`, stored before they are acked.

Sequences are sets: a record that is stored twice, or a batch that is handled again after a kill, changes no sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import orjson

from penstock.replay import sequence_set

Kind = Literal["confirmed", "skipped", "parked", "filtered"]
Outcomes = Mapping[str, Mapping[Kind, Iterable[int]]]  # by stream


def encode(outcomes: Outcomes) -> bytes:
    """The record: per stream and kind the sequences, as sequence_set has them."""
    return orjson.dumps(
        {
            stream: {kind: sequence_set.encode(found) for kind, found in kinds.items() if found}
            for stream, kinds in outcomes.items()
        }
    )


def decode(data: bytes) -> dict[str, dict[Kind, list[int]]]:
    """The sequences in a record; a subscriber may also give a plain list of them. Raises ValueError when it is not
    one."""
    body = orjson.loads(data)
    return {stream: {kind: _sequences(found) for kind, found in kinds.items()} for stream, kinds in body.items()}


def _sequences(found: str | list[int]) -> list[int]:
    if isinstance(found, str):
        return sequence_set.decode(found)
    if not all(type(each) is int for each in found):
        raise ValueError("a sequence is no integer")
    return found
