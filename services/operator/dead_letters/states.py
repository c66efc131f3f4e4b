"""bucket dead_letters: a key for each 65,536 sequences of DLQ with the sets of those that are no longer open.

A dead letter cannot be changed or deleted, so its state is beside it; a change is a compare-and-set of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

import orjson

from penstock.broker import Broker, Keys, if_there
from penstock.contracts.nats_subjects import key_stream
from penstock.errors import Refused, Unavailable
from penstock.replay import sequence_set
from penstock.rpc.messages import DeadLetterState

BUCKET = "dead_letters"
CHUNK = 65_536  # sequences under one key
TRIES = 8  # of a compare-and-set that others win

Sets = dict[DeadLetterState, set[int]]  # of a chunk; open is what stands in none
KEPT: tuple[DeadLetterState, ...] = tuple(state for state in get_args(DeadLetterState) if state != "open")


class States:
    """Reads and changes the states of one DLQ, which its epoch names. Any replica may."""

    def __init__(self, broker: Broker, epoch: int) -> None:
        self._jetstream = broker.jetstream
        self._keys = Keys(broker, BUCKET)
        self._prefix = f"chunk.{epoch}"
        self._revisions: dict[str, int] = {}
        self._seen = -1  # last sequence of the bucket when everything in it was known

    async def changed(self, end: int) -> dict[int, Sets]:
        """The chunks that somebody changed since the last call, by number; every one of them at first. What has
        dead letters from `end` on, which the caller does not know yet, is given again the next time."""
        last = (await self._jetstream.stream_info(key_stream(BUCKET))).last_seq
        if last == self._seen:
            return {}
        found = {}
        whole = True
        for key, entry in (await self._keys.all(f"{self._prefix}.>")).items():
            if self._revisions.get(key) != entry.revision:
                sets = found[int(key.rpartition(".")[2])] = _decode(entry.value)
                if all(max(members, default=0) < end for members in sets.values()):
                    self._revisions[key] = entry.revision
                else:
                    whole = False
        self._seen = last if whole else -1
        return found

    async def move(
        self, sequences: Iterable[int], state: DeadLetterState, begin: Iterable[DeadLetterState]
    ) -> list[int]:
        """Moves those that are in one of the states `begin`; returns them. Raises Unavailable when a chunk could not
        be changed; what was moved before stays moved, and the same call again moves the rest."""
        chunks: dict[int, set[int]] = {}
        for sequence in sequences:
            chunks.setdefault(sequence // CHUNK, set()).add(sequence)
        moved: list[int] = []
        for chunk, wanted in chunks.items():
            moved += await self._move(chunk, wanted, state, frozenset(begin) - {state})
        return moved

    async def _move(
        self, chunk: int, wanted: set[int], state: DeadLetterState, begin: frozenset[DeadLetterState]
    ) -> list[int]:
        for _ in range(TRIES):
            sets, revision = await self._read(chunk)
            free = set() if "open" not in begin else wanted.difference(*sets.values())
            moved = free.union(*(wanted & sets[each] for each in begin if each != "open"))
            if not moved:
                return []
            for members in sets.values():
                members -= moved
            if state != "open":
                sets[state] |= moved
            try:
                await self._keys.put(self._key(chunk), _encode(sets), expected=revision)
            except Refused as error:
                if error.code != "CONFLICT":
                    raise
                continue
            return sorted(moved)
        raise Unavailable("OVERLOADED", "the states of dead letters are being changed by others", retry_after=1)

    async def _read(self, chunk: int) -> tuple[Sets, int]:
        entry = await if_there(self._keys.get(self._key(chunk)))
        if entry is None:
            return {state: set() for state in KEPT}, 0
        return _decode(entry.value), entry.revision

    def _key(self, chunk: int) -> str:
        return f"{self._prefix}.{chunk}"


def _encode(sets: Mapping[DeadLetterState, set[int]]) -> bytes:
    return orjson.dumps({state: sequence_set.encode(members) for state, members in sets.items() if members})


def _decode(value: bytes) -> Sets:
    body = orjson.loads(value)
    return {state: set(sequence_set.decode(body[state])) if state in body else set() for state in KEPT}
