"""Messages that wait for the range that will cover them. They stay unsettled, and their payloads on their stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Drop
from penstock.contracts.subjects import publisher_of

MOST = 2048  # messages that wait in a process, over all publishers

# A delivery that can never succeed, and why
Dropped = tuple[Delivery, Drop]
# Settles deliveries that waited, by whether their range is stored.
Later = Callable[[Sequence[Dropped], bool], Awaitable[None]]
Member = tuple[Dropped, Later]


@dataclass(frozen=True, slots=True)
class Kind:
    """What the messages of a range have in common."""

    publisher: str
    code: str
    stream: str


class WaitingDrops:
    """By kind. `carried`: headers that a range takes over from its first message; the others are let go with the
    payload."""

    def __init__(self, carried: Sequence[str] = ()) -> None:
        self._carried = carried
        self._groups: dict[Kind, list[Member]] = {}  # those that have waited longest first
        self._under_way: list[list[Member]] = []  # by range: it is being stored, or its messages settled

    def __len__(self) -> int:
        return sum(len(members) for members in self._groups.values())

    def add(self, delivery: Delivery, drop: Drop, later: Later) -> None:
        """Has the message wait; `later` settles it."""
        kind = Kind(publisher_of(delivery.subject), drop.code, delivery.stream)
        self._groups.setdefault(kind, []).append(((delivery.without_payload(self._carried), drop), later))

    def kinds(self) -> list[Kind]:
        """Those of which messages wait, the one that has waited longest first."""
        return list(self._groups)

    def has(self, kind: Kind) -> bool:
        """Whether messages of the kind wait."""
        return kind in self._groups

    def beyond(self, most: int) -> Kind | None:
        """What may wait no longer, as more than `most` of its publisher wait or more than MOST in all: the largest
        kind; None where there is no such."""
        total: Counter[str] = Counter()
        for kind, members in self._groups.items():
            total[kind.publisher] += len(members)
        over = {publisher for publisher, count in total.items() if count > most or total.total() > MOST}
        kinds = [kind for kind in self._groups if kind.publisher in over]
        return max(kinds, key=lambda kind: len(self._groups[kind]), default=None)

    def take(self, kind: Kind) -> list[Member]:
        """The messages of a kind, for a range. Until `put_back` they are still in `of`, and `forget` removes them from
        this list."""
        members = self._groups.pop(kind)
        self._under_way.append(members)
        return members

    def settled(self, members: list[Member], later: Later) -> None:
        """`later` has settled its part of what was taken."""
        members[:] = [member for member in members if member[1] != later]

    def put_back(self, kind: Kind, members: list[Member]) -> None:
        """The range is done with; what was taken and is not settled waits on."""
        self._under_way = [each for each in self._under_way if each is not members]
        if members:
            self._groups[kind] = [*members, *self._groups.get(kind, ())]

    def of(self, later: Later) -> Iterator[Delivery]:
        """The deliveries that `later` settles, those of a range under way among them."""
        for members in chain(self._groups.values(), self._under_way):
            yield from (delivery for (delivery, _), settles in members if settles == later)

    def forget(self, later: Later) -> None:
        """What `later` was to settle is given back, and waits no longer."""
        for members in chain(self._groups.values(), self._under_way):
            self.settled(members, later)
        self._groups = {kind: members for kind, members in self._groups.items() if members}
