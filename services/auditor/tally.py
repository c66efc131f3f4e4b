"""stored events of one window → for each identity first, last, number and span of time."""

from __future__ import annotations

from typing import Any

from penstock.contracts import subjects
from penstock.events import timestamps

MOST = 10_000  # events of a window
MOST_IDENTITIES = 200
MOST_GAPS = 20


class Tally:
    """One window of a stream, from `first` on, without a hole: what is not on the stream any more is named."""

    __slots__ = ("_by", "_gaps", "_span", "count", "first", "next", "reply", "since")

    def __init__(self, first: int, since: float) -> None:
        self.first = self.next = first
        self.since = since
        self.count = 0
        self.reply = ""  # acknowledges everything in this window and before
        self._by: dict[str, list[int]] = {}
        self._gaps: list[tuple[int, int]] = []
        self._span = [0, 0]

    def add(self, subject: str, sequence: int, stored_at_ns: int) -> None:
        """The next event."""
        identity = subjects.publisher_of(subject)
        entry = self._by.get(identity)
        if entry is None:
            self._by[identity] = [sequence, sequence, 1, stored_at_ns, stored_at_ns]
        else:
            entry[1] = sequence
            entry[2] += 1
            entry[4] = stored_at_ns
        if not self.count:
            self._span[0] = stored_at_ns
        self._span[1] = stored_at_ns
        self.count += 1
        self.next = sequence + 1

    def miss(self, until: int) -> None:
        """What comes next up to, not including, `until` is not on the stream."""
        self._gaps.append((self.next, until - 1))
        self.next = until

    @property
    def full(self) -> bool:
        """Whether it should be written now."""
        return self.count >= MOST or len(self._by) >= MOST_IDENTITIES or len(self._gaps) >= MOST_GAPS

    def record(self, stream: str) -> dict[str, Any]:
        """As it stands on the trail."""
        body: dict[str, Any] = {"stream": stream, "from": self.first, "to": self.next - 1, "count": self.count}
        if self.count:
            body |= {"began": timestamps.text(self._span[0]), "ended": timestamps.text(self._span[1])}
        body["entries"] = [
            {
                "identity": identity,
                "from": first,
                "to": last,
                "count": count,
                "began": timestamps.text(began),
                "ended": timestamps.text(ended),
            }
            for identity, (first, last, count, began, ended) in sorted(self._by.items())
        ]
        if self._gaps:
            body["missing"] = [list(gap) for gap in self._gaps]
        return body
