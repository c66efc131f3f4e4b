"""outcomes of the last minute, by stream and publisher → is it the worker, or one bad publisher?

A publisher is bad when most of what it sent lately was refused. When the bad ones are at least half of those that send
on their streams, the fault may be here (a bad deploy, a broken mapping); when there are several, it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

WINDOW = 60.0  # seconds, after which counting begins afresh
RECENT = 20.0  # messages of a publisher that weigh as much as those before them
ACTIVE = 10.0  # seconds for which a publisher counts as one that sends
RATIO = 0.5  # of a publisher's messages refused; more make it a bad one
LEAST = 20  # refusals; those of the worst publisher do not count where several must be bad

Verdict = Literal["", "suspected", "broken"]


@dataclass(slots=True)
class Counts:
    """One publisher on one stream. `recent_…` fade, so that a sink that breaks is seen whatever went well before."""

    at: float = 0.0
    total: int = 0
    recent: float = 0.0
    recent_refused: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Messages refused since counting began."""
        return self.codes.total()

    @property
    def bad(self) -> bool:
        """Whether most of the latest messages were refused."""
        return self.recent_refused > RATIO * self.recent

    def add(self, now: float, total: int, codes: Counter[str]) -> None:
        """Adds the outcomes of a batch: so many messages, and those of them that were refused, by code."""
        fade = min(1.0, RECENT / self.recent) if self.recent else 1.0
        self.recent = self.recent * fade + total
        self.recent_refused = self.recent_refused * fade + codes.total()
        self.total += total
        self.codes += codes
        self.at = now


class Tally:
    """The outcomes of one worker process, over all its lanes."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}

    def clear(self) -> None:
        """Begins afresh."""
        self._counts.clear()

    def add(self, now: float, stream: str, outcomes: Iterable[tuple[str, str]]) -> None:
        """Adds a batch: for each message its publisher and the code of its refusal, empty where it was not refused."""
        totals: Counter[str] = Counter()
        codes: dict[str, Counter[str]] = {}
        for publisher, code in outcomes:
            totals[publisher] += 1
            if code:
                codes.setdefault(publisher, Counter())[code] += 1
        for publisher, total in totals.items():
            counts = self._counts.setdefault((stream, publisher), Counts())
            counts.add(now, total, codes.get(publisher, Counter()))

    def verdict(self, now: float) -> Verdict:
        """`broken`: several publishers are bad, and at least half of those that send. `suspected`: it may turn out so,
        but only one is known to be bad, or too few messages are."""
        bad = self.bad(now)
        streams = {stream for stream, _ in bad}
        sending = [key for key, counts in self._counts.items() if key[0] in streams and now - counts.at < ACTIVE]
        if not bad or 2 * len(bad) < len(sending):
            return ""
        refused: Counter[str] = Counter()
        for (_, publisher), counts in bad.items():
            refused[publisher] += counts.refused
        if refused.total() - max(refused.values()) >= LEAST:
            return "broken"
        return "suspected" if refused.total() >= LEAST else ""

    def bad(self, now: float) -> dict[tuple[str, str], Counts]:
        """The bad publishers that send, by stream and publisher."""
        return {key: counts for key, counts in self._counts.items() if now - counts.at < ACTIVE and counts.bad}
