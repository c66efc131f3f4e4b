"""The dead letters of a plan: which they are, which are sent themselves, and the spans that stand for ranges.

Kept in the bucket `replays` under the plan's hash, whose `selection` is their digest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

import orjson

from penstock.broker import JetStream, Keys, StoredMessage
from penstock.errors import Refused
from penstock.replay import sequence_set
from penstock.services.operator.dead_letters.index import STREAM

PART = 50_000  # dead letters under one key
READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """Messages of one publisher between two sequences of a stream, both included. `previous` is the first of the
    ranges that it stands for."""

    stream: str
    filter: str
    first: int
    last: int
    planned: int
    previous: int
    redrives: int

    def holds(self, stream: str, filter: str, sequence: int) -> bool:
        """Whether the message is one of the span's."""
        return (stream, filter) == (self.stream, self.filter) and self.first <= sequence <= self.last


@dataclass(frozen=True, slots=True)
class Chosen:
    """`dead_letters`: all of them; `sent`: those whose payload is sent again. The others are ranges, dead letters of
    messages that lie in a span, and older dead letters of a message that has a newer one."""

    dead_letters: Sequence[int]
    sent: Sequence[int]
    spans: Sequence[Span]

    @property
    def digest(self) -> str:
        """The same for the same dead letters."""
        return sha256(b"\n".join(value for _, value in self._parts())).hexdigest()

    async def save(self, keys: Keys, hash: str) -> None:
        """Keeps it under the hash of its plan."""
        for name, value in self._parts():
            await keys.put(f"dead_letters.{hash}.{name}", value)

    @classmethod
    async def load(cls, keys: Keys, hash: str) -> Chosen:
        """That of a plan. Raises Refused NOT_FOUND when it is not kept any more."""
        entries = await keys.all(f"dead_letters.{hash}.>")
        values = {key.rpartition(".")[2]: orjson.loads(entry.value) for key, entry in entries.items()}
        spans = values.pop("spans", None)
        if spans is None:
            raise Refused("NOT_FOUND", f"the dead letters of plan {hash} are not kept any more")
        parts = [values[name] for name in sorted(values, key=int)]
        return cls(
            dead_letters=[each for part in parts for each in sequence_set.decode(part["dead_letters"])],
            sent=[each for part in parts for each in sequence_set.decode(part["sent"])],
            spans=[Span(**span) for span in spans],
        )

    def _parts(self) -> list[tuple[str, bytes]]:
        sent = set(self.sent)
        parts = [
            {
                "dead_letters": sequence_set.encode(part),
                "sent": sequence_set.encode(each for each in part if each in sent),
            }
            for part in (self.dead_letters[begin : begin + PART] for begin in range(0, len(self.dead_letters), PART))
        ]
        found = [(str(number), orjson.dumps(part)) for number, part in enumerate(parts)]
        return [*found, ("spans", orjson.dumps([asdict(span) for span in self.spans]))]


async def read(jetstream: JetStream, worker: str, sequences: Sequence[int]) -> AsyncIterator[StoredMessage]:
    """The dead letters with these sequences, ascending, that are still there; all of one worker."""
    place = 0
    while place < len(sequences):
        page = await jetstream.get_many(
            STREAM, subject=f"dlq.{worker}.>", sequence=sequences[place], max_bytes=READ_BYTES
        )
        if not page:
            return
        for message in page:
            while place < len(sequences) and sequences[place] < message.sequence:
                place += 1
            if place < len(sequences) and sequences[place] == message.sequence:
                place += 1
                yield message
