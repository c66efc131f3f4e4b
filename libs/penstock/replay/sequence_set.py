"""Sequences ⇄ bytes: ascending, as differences in LEB128; a byte for each where they lie close together."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator

_BITS = 64  # of a sequence; without a bound, unpacking what is none would take time by the square of its length


def encode(sequences: Iterable[int]) -> str:
    """The set as base64."""
    packed = bytearray()
    before = 0
    for sequence in sorted(set(sequences)):
        step = sequence - before
        before = sequence
        while step > 0x7F:
            packed.append(step & 0x7F | 0x80)
            step >>= 7
        packed.append(step)
    return b64encode(packed).decode()


def decode(text: str) -> list[int]:
    """The sequences, ascending. Raises ValueError when the text is not a set."""
    return list(_unpack(b64decode(text)))


def _unpack(packed: bytes) -> Iterator[int]:
    value = shift = before = 0
    for byte in packed:
        if shift >= _BITS:
            raise ValueError(f"a sequence has more than {_BITS} bits")
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            before += value
            yield before
            value = shift = 0
    if shift:
        raise ValueError("the last sequence is cut off")
