"""DLQ → for each dead letter the number of its group, its state and the second it was stored in: nine bytes each.

Every replica reads the whole stream when it starts and follows it from there. What the stream lets expire is taken off
the front.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

import structlog

from penstock.broker import Broker, StoredMessage, StreamInfo
from penstock.errors import PenstockError, Unavailable
from penstock.events.dead_letter import MOST_REDRIVES
from penstock.rpc.messages import MAX_GROUPS, DeadLetterForm, DeadLetterState
from penstock.services.operator.dead_letters import dead_letter
from penstock.services.operator.dead_letters.states import CHUNK, States
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.operator.dead_letters")

STREAM = "DLQ"
EVERY = 1.0  # seconds between looks
READ_BYTES = 4 << 20  # of dead letters in one read
OTHERS = "(others)"  # type and publisher of dead letters beyond MAX_GROUPS groups
STATES: tuple[DeadLetterState, ...] = get_args(DeadLetterState)
_NUMBER = {state: number for number, state in enumerate(STATES)}
_NONE = 0  # the group of a sequence at which there is no dead letter


@dataclass(frozen=True, slots=True)
class Group:
    """What dead letters have in common."""

    worker: str
    code: str
    type: str
    publisher: str
    form: DeadLetterForm
    redrives: int


class Index:
    """The dead letters, by sequence. `complete`: everything was read at least once."""

    def __init__(self, broker: Broker) -> None:
        self.info: StreamInfo | None = None  # of the stream, at the last look
        self._broker = broker
        self._reading = asyncio.Lock()
        self._clear(0)

    def _clear(self, epoch: int) -> None:
        self.complete = False
        self.states = States(self._broker, epoch)
        self._known: list[Group | None] = [None]
        self._numbers: dict[Group, int] = {}
        self._base = 1  # sequence of the first place
        self._groups = array("H")
        self._seconds = array("I")
        self._state = bytearray()
        self._counts: dict[int, int] = {}  # messages of ranges, by sequence

    async def follow(self, stop: asyncio.Event) -> None:
        """Reads the stream, then what is new, until `stop`."""
        while not stop.is_set():
            try:
                await self.look()
            except PenstockError as error:
                _log.warning("dead_letters_unread", code=error.code, reason=error.detail)
            await set_within(stop, EVERY)

    async def look(self) -> None:
        """Takes in what is new, on the stream and in the states. Raises Unavailable."""
        async with self._reading:
            info = await self._broker.jetstream.stream_info(STREAM)
            if self.info is None or self.info.epoch != info.epoch:
                self._clear(info.epoch)
            self.info = info
            self._expire(self.info.first_seq)
            last = self.info.last_seq
            while self.end <= last and (page := await self._page()):
                for message in page:
                    self._add(message)
                await asyncio.sleep(0)
            if not self.info.messages:
                self._expire(last + 1)
            for chunk, sets in (await self.states.changed(self.end)).items():
                self._set_states(chunk, sets)
            self.complete = True

    async def fresh(self) -> None:
        """Has just been read; where the first reading still goes on, does not wait for it."""
        if self.complete:
            with suppress(Unavailable):
                await self.look()

    @property
    def known_info(self) -> StreamInfo:
        """Of the stream. Raises Unavailable before the first look."""
        if self.info is None:
            raise Unavailable("OVERLOADED", "the dead letters were not read yet", retry_after=5)
        return self.info

    @property
    def end(self) -> int:
        """The sequence behind the last dead letter."""
        return self._base + len(self._groups)

    @property
    def first(self) -> int:
        """The sequence of the first dead letter."""
        return self._base

    def dead_letters_since(self, second: int) -> int:
        """How many dead letters were stored at that Unix time or later. They are stored in the order of their times."""
        return len(self._seconds) - bisect_left(self._seconds, second)

    def ranges_since(self, second: int) -> dict[tuple[str, str], tuple[int, int]]:
        """By worker and publisher the ranges that were stored at that Unix time or later, and their messages."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for sequence, number, _, _ in self.places(self.end - self.dead_letters_since(second), self.end - 1):
            group = self._known[number]
            if group is not None and group.form == "range":
                count, messages = found.get((group.worker, group.publisher), (0, 0))
                found[group.worker, group.publisher] = (count + 1, messages + self.messages(sequence))
        return found

    def state(self, sequence: int) -> DeadLetterState:
        """The state of a dead letter; that of one that is not in the index is open."""
        place = sequence - self._base
        return STATES[self._state[place]] if 0 <= place < len(self._state) else "open"

    def group(self, sequence: int) -> Group | None:
        """The group of a dead letter; None where there is none."""
        place = sequence - self._base
        return self._known[self._groups[place]] if 0 <= place < len(self._groups) else None

    def second(self, sequence: int) -> int:
        """When a dead letter was stored, Unix time."""
        return self._seconds[sequence - self._base]

    def messages(self, sequence: int) -> int:
        """How many messages a dead letter stands for."""
        return self._counts.get(sequence, 1)

    @property
    def groups(self) -> list[tuple[int, Group]]:
        """Every group with its number."""
        return [(number, group) for number, group in enumerate(self._known) if group is not None]

    def places(self, first: int, last: int) -> Iterator[tuple[int, int, int, int]]:
        """(sequence, number of the group, number of the state, second) of the dead letters between, both included."""
        begin, end = max(first, self._base), min(last, self.end - 1)
        if begin > end:
            return iter(())
        low, high = begin - self._base, end + 1 - self._base
        found = zip(
            range(begin, end + 1),
            self._groups[low:high],
            self._state[low:high],
            self._seconds[low:high],
            strict=True,
        )
        return (each for each in found if each[1] != _NONE)

    def totals(self) -> dict[tuple[Group, DeadLetterState], tuple[int, int]]:
        """Dead letters and messages of each group, by state."""
        dead_letters = Counter(zip(self._groups, self._state, strict=True))
        more: Counter[tuple[int, int]] = Counter()
        for sequence, count in self._counts.items():
            place = sequence - self._base
            more[self._groups[place], self._state[place]] += count - 1
        return {
            (group, STATES[state]): (count, count + more[number, state])
            for (number, state), count in dead_letters.items()
            if (group := self._known[number]) is not None
        }

    async def _page(self) -> list[StoredMessage]:
        return await self._broker.jetstream.get_many(STREAM, sequence=self.end, max_bytes=READ_BYTES)

    def _add(self, message: StoredMessage) -> None:
        if not self._groups:
            self._base = message.sequence
        gap = message.sequence - self.end
        if gap < 0:
            return
        number = self._number_of(message)
        parked = dead_letter.redrives_of(message) >= MOST_REDRIVES
        self._groups.extend([*([_NONE] * gap), number])
        self._seconds.extend([message.stored_at_ns // 1_000_000_000] * (gap + 1))
        self._state.extend([*([0] * gap), _NUMBER["parked" if parked else "open"]])
        if (count := dead_letter.messages_of(message)) > 1:
            self._counts[message.sequence] = count

    def _number_of(self, message: StoredMessage) -> int:
        worker, publisher, type = dead_letter.names_of(message.subject)
        group = Group(
            worker,
            dead_letter.code_of(message),
            type,
            publisher,
            dead_letter.form_of(message),
            dead_letter.redrives_of(message),
        )
        if group not in self._numbers and len(self._numbers) >= MAX_GROUPS:
            group = Group(worker, group.code, OTHERS, OTHERS, group.form, group.redrives)
        if (number := self._numbers.get(group)) is None:
            number = self._numbers[group] = len(self._known)
            self._known.append(group)
        return number

    def _expire(self, first: int) -> None:
        gone = min(first - self._base, len(self._groups))
        if gone <= 0:
            return
        for sequence in [each for each in self._counts if each < first]:
            del self._counts[sequence]
        del self._groups[:gone], self._seconds[:gone], self._state[:gone]
        self._base += gone

    def _set_states(self, chunk: int, sets: dict[DeadLetterState, set[int]]) -> None:
        begin, end = max(chunk * CHUNK, self._base), min((chunk + 1) * CHUNK, self.end)
        for sequence in range(begin, end):
            group = self.group(sequence)
            parked = group is not None and group.redrives >= MOST_REDRIVES
            self._state[sequence - self._base] = _NUMBER["parked" if parked else "open"]
        for state, members in sets.items():
            for sequence in members:
                if begin <= sequence < end:
                    self._state[sequence - self._base] = _NUMBER[state]
