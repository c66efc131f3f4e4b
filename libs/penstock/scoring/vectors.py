"""Vectors on the wire and in Elasticsearch: base64 of big-endian 32-bit floats, always of the same length."""

from __future__ import annotations

import binascii
import struct
from base64 import b64encode
from collections.abc import Sequence

from penstock.errors import Refused

DIMS = 32  # every model embeds into as many dimensions; the index templates say so too
_LAYOUT = struct.Struct(f">{DIMS}f")


def to_text(vector: Sequence[float]) -> str:
    """The text of a vector of DIMS numbers."""
    return b64encode(_LAYOUT.pack(*vector)).decode()


def from_text(text: str) -> tuple[float, ...]:
    """The vector that `to_text` wrote. Raises Refused SCORE_INVALID when it is not one."""
    try:
        return _LAYOUT.unpack(binascii.a2b_base64(text, strict_mode=True))
    except (binascii.Error, struct.error, ValueError) as error:
        raise Refused("SCORE_INVALID", f"not base64 of {DIMS} big-endian floats: {error}") from None
