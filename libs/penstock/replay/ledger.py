"""All outcomes of a run: a byte for each sequence of its ranges, or, where few of them are planned, an entry for each
that has an outcome. What is recorded first stays: nothing counts twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.replay.outcomes import Kind
from penstock.rpc.messages import ReplayOutcomes, ReplayRange

SPARSE = 64  # sequences of a range for each planned message; beyond it most are none's
_CODES: dict[Kind, int] = {"confirmed": 1, "skipped": 2, "parked": 3, "filtered": 4}
_KINDS = {code: kind for kind, code in _CODES.items()}


class Ledger:
    """Which messages of a run have an outcome, and which. `foreign`: recorded, but in no range of the run. `complete`:
    all that was recorded when the log was read last is in it."""

    def __init__(self, ranges: Iterable[ReplayRange]) -> None:
        self.foreign = 0
        self.complete = False
        parts = tuple(ranges)
        self._first = {part.stream: part.first for part in parts}
        self._length = {part.stream: part.last - part.first + 1 for part in parts}
        self._marks = {part.stream: _marks_of(part) for part in parts}
        self._counts = {stream: dict.fromkeys(_CODES, 0) for stream in self._first}

    def add(self, outcomes: Mapping[str, Mapping[Kind, Iterable[int]]]) -> None:
        """Takes a record of penstock.replay.outcomes."""
        for stream, kinds in outcomes.items():
            marks, counts = self._marks.get(stream), self._counts.get(stream, {})
            first, end = self._first.get(stream, 0), self._length.get(stream, 0)
            for kind, sequences in kinds.items():
                code = _CODES[kind]
                for sequence in sequences:
                    place = sequence - first
                    if marks is None or not 0 <= place < end:
                        self.foreign += 1
                    elif not marks[place]:
                        marks[place] = code
                        counts[kind] += 1

    def outcomes(self, stream: str) -> ReplayOutcomes:
        """The numbers of one stream."""
        return ReplayOutcomes(**self._counts[stream])

    @property
    def all(self) -> ReplayOutcomes:
        """The numbers of all streams."""
        return ReplayOutcomes(**{kind: sum(each[kind] for each in self._counts.values()) for kind in _CODES})

    @property
    def total(self) -> int:
        """Messages that have an outcome."""
        return sum(sum(each.values()) for each in self._counts.values())

    def confirmed(self, stream: str, most: int) -> list[int]:
        """Up to `most` confirmed sequences, spread evenly over the range."""
        marks, first = self._marks[stream], self._first[stream]
        count = self._counts[stream]["confirmed"]
        if not count or not most:
            return []
        if isinstance(marks, _Sparse):
            places = sorted(place for place, code in marks.items() if code == 1)
            return [first + place for place in places[:: max(len(places) // most, 1)][:most]]
        step = max(len(marks) // most, 1)
        found: dict[int, None] = {}
        for start in range(0, len(marks), step):
            place = marks.find(1, start)
            if place < 0:
                break
            found[first + place] = None
        return list(found)[:most]

    def outcome(self, stream: str, sequence: int) -> Kind | None:
        """What became of a message; None while it has no outcome."""
        marks, place = self._marks.get(stream), sequence - self._first.get(stream, 0)
        if marks is None or not 0 <= place < self._length[stream]:
            return None
        return _KINDS.get(marks[place])


class _Sparse(dict[int, int]):
    def __missing__(self, place: int) -> int:
        return 0


def _marks_of(part: ReplayRange) -> bytearray | _Sparse:
    length = part.last - part.first + 1
    return _Sparse() if length > SPARSE * (part.planned + 1024) else bytearray(length)
