"""What became of the messages of a batch → one record on `replay_log.<worker>.<run>`, stored before they are acked.

Sequences are sets: a record that is stored twice, or a batch that is handled again after a kill, changes no sum.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import orjson

Kind = Literal["confirmed", "skipped", "parked", "filtered"]
Outcomes = Mapping[str, Mapping[Kind, Iterable[int]]]  # by stream


def encode(outcomes: Outcomes) -> bytes:
    """The record: per stream and kind the sequences, ascending, as differences in LEB128, base64."""
    return orjson.dumps(
        {
            stream: {kind: b64encode(_pack(sorted(set(found)))).decode() for kind, found in kinds.items() if found}
            for stream, kinds in outcomes.items()
        }
    )


def decode(data: bytes) -> dict[str, dict[Kind, list[int]]]:
    """The sequences in a record. Raises ValueError when it is not one."""
    body = orjson.loads(data)
    return {
        stream: {kind: list(_unpack(b64decode(text))) for kind, text in kinds.items()} for stream, kinds in body.items()
    }


def _pack(sequences: list[int]) -> bytes:
    packed = bytearray()
    before = 0
    for sequence in sequences:
        step = sequence - before
        before = sequence
        while step > 0x7F:
            packed.append(step & 0x7F | 0x80)
            step >>= 7
        packed.append(step)
    return bytes(packed)


def _unpack(packed: bytes) -> Iterator[int]:
    value = shift = before = 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            before += value
            yield before
            value = shift = 0
    if shift:
        raise ValueError("the last sequence is cut off")
