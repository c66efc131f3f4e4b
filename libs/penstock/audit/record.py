"""What audit records have in common: who is named in one, what it is about, and the fingerprint of a request.

Every record is a JSON object on audit.<emitter>.<action>[.…] with `time`, `actor` (who did it) and `through` (the
identity that wrote it); `identity` where somebody else is concerned; and `entries` where it tells of several.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Protocol

import orjson

from penstock.contracts import subjects
from penstock.errors import PenstockError
from penstock.events import timestamps

# What a request is about, as it is; everything else only by its type.
_PLAIN = frozenset({"datasets", "types", "sort", "order", "op", "field", "by", "per", "from", "to"})
MOST_NAMES = 100  # datasets or types that a record shows
_LISTS = ("hits", "records", "entries", "buckets", "counts", "models")


class Writer(Protocol):
    """The connection over which an identity writes; Broker is one."""

    @property
    def identity(self) -> str: ...
    async def publish(self, subject: str, payload: bytes) -> object: ...


async def write(broker: Writer, what: str, actor: str | None, *, through: str = "", **members: Any) -> None:
    """Adds a record to the trail, on audit.<identity of the connection>.<what>; returns when it is on disk.

    `through`: the identity that acted for the actor, where it is not the one that writes.

    Raises Unavailable when it could not be stored; whoever must be recorded is then refused.
    """
    await broker.publish(subjects.audit(broker.identity, what), encode(actor, through or broker.identity, **members))


def encode(actor: str | None, through: str, **members: Any) -> bytes:
    """A record of now; without an actor where it tells of several."""
    by = {} if actor is None else {"actor": actor}
    return orjson.dumps({"time": timestamps.text(time.time_ns()), **by, "through": through, **members})


def fingerprint(request: Mapping[str, Any]) -> str:
    """The same for requests that differ only in what they look for: 32 hex digits."""
    return sha256(orjson.dumps(_shape(request), option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def asked(
    request: Mapping[str, Any], reply: Mapping[str, Any] | PenstockError, seconds: float, types: Mapping[str, Any]
) -> dict[str, Any]:
    """What a record says of a request and its answer; never what it looks for, nor what was found.

    `types`: event types by name, to say of which datasets records were that a request named by their keys.
    """
    body: dict[str, Any] = {
        "fingerprint": fingerprint(request),
        **_shown(request),
        "milliseconds": round(seconds * 1000, 3),
    }
    if isinstance(reply, PenstockError):
        return body | {"code": reply.code}
    found = next((reply[name] for name in _LISTS if isinstance(reply.get(name), list)), None)
    if found is not None:
        body["count"] = len(found)
        if "datasets" not in body:
            body["datasets"] = _datasets(found, types)
    return body


def _shown(request: Mapping[str, Any]) -> dict[str, Any]:
    """Datasets, types and range of time that a request names. It may be refused yet, so anything can stand there."""
    shown: dict[str, Any] = {}
    for name in ("datasets", "types"):
        names = request.get(name)
        if isinstance(names, list):
            shown[name] = [each for each in names[:MOST_NAMES] if isinstance(each, str) and len(each) <= 128]
    span = request.get("time")
    if isinstance(span, Mapping):
        ends = {side: span.get(side) for side in ("from", "to")}
        shown["time_range"] = {side: text for side, text in ends.items() if isinstance(text, str) and len(text) <= 64}
    return shown


def _datasets(found: list[Any], types: Mapping[str, Any]) -> list[str]:
    events = [each["event"] for each in found if isinstance(each, dict) and isinstance(each.get("event"), dict)]
    names = {event["type"] for event in events if isinstance(event.get("type"), str)}
    return sorted({types[name].dataset for name in names if name in types})


def names_in(payload: bytes) -> frozenset[str]:
    """Every identity that a record names; none where it cannot be read."""
    try:
        body = orjson.loads(payload)
        found = {body.get("actor"), body.get("identity")}
        for entry in body.get("entries") or ():
            found |= {entry.get("actor"), entry.get("identity")}
    except (ValueError, AttributeError, TypeError):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str) and name)


def _shape(value: Any, plain: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {name: _shape(member, name in _PLAIN) for name, member in value.items()}
    if isinstance(value, list):
        parts = [_shape(member, plain) for member in value]
        unique = {orjson.dumps(part, option=orjson.OPT_SORT_KEYS): part for part in parts}
        return [part for _, part in sorted(unique.items())]  # the order and number of conditions do not matter
    return value if plain else type(value).__name__
