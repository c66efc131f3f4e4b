"""question → its fingerprint → audit.ingress.question: who asked what kind of thing, never the words.

The record is stored before the answer is given: a question that cannot be written down is not answered.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any

import orjson

from penstock import timestamps
from penstock.broker import Broker
from services.ingress.auth import Caller

# What a question is about, as it is; everything else only by its type.
_PLAIN = frozenset({"datasets", "types", "sort", "order", "op", "field", "by", "per", "from", "to"})
_SHOWN = ("datasets", "types", "time")


def fingerprint(question: dict[str, Any]) -> str:
    """The same for questions that differ only in what they look for: 32 hex digits."""
    return sha256(orjson.dumps(_shape(question), option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


async def write(broker: Broker, caller: Caller, operation: str, question: dict[str, Any]) -> None:
    """Returns when the record is on disk. Raises Unavailable."""
    record = {
        "time": timestamps.text(time.time_ns()),
        "actor": caller.identity,
        "through": broker.identity,
        "operation": operation,
        "fingerprint": fingerprint(question),
        **{name: question[name] for name in _SHOWN if name in question},
    }
    await broker.publish(f"audit.{broker.identity}.question", orjson.dumps(record))


def _shape(value: Any, plain: bool = False) -> Any:
    if isinstance(value, dict):
        return {name: _shape(member, name in _PLAIN) for name, member in value.items()}
    if isinstance(value, list):
        parts = [_shape(member, plain) for member in value]
        unique = {orjson.dumps(part, option=orjson.OPT_SORT_KEYS): part for part in parts}
        return [part for _, part in sorted(unique.items())]  # the order and number of conditions do not matter
    return value if plain else type(value).__name__
