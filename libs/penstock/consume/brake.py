"""refusals of all lanes of a process → dead letters, or nothing is settled until the sink is well again

When most messages of several publishers are refused, the fault is here and not in the messages: the brake closes, and
the lanes rest before they empty their streams into the dead letters, which cannot be taken back. A single bad publisher
never closes it; its dead letters are limited. While the outcome is open (the first publisher has just turned bad, or
the brake has just opened again) refusals are kept, too, for HOLD seconds at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from penstock.consume import metrics
from penstock.consume.tally import WINDOW, Tally

FIRST_STOP = 30.0  # seconds
LONGEST_STOP = 600.0
HOLD = 3.0  # seconds for which refusals are kept until it is clear whose fault they are
AGAIN = 1.0  # seconds after which a kept message is delivered, if a lane pulls
NAMED = 5  # publishers in a sentence


@dataclass(frozen=True, slots=True)
class Closing:
    """Why the brake closed; `number` counts the closings of the process. Times are Unix seconds; `publishers`: the
    refused and all messages of each, the worst first."""

    number: int
    since: float
    until: float
    codes: tuple[str, ...]
    publishers: dict[str, tuple[int, int]]


class Brake:
    """Counts the outcomes of one worker process. After each rest it tries again, and rests longer each time."""

    def __init__(
        self,
        worker: str,
        traffic: Literal["live", "replay"] = "live",
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.worker = worker
        self._traffic = traffic
        self._clock = clock
        self._wall_clock = wall_clock
        self._tally = Tally()
        self._since = clock()
        self._refused_at = clock() - WINDOW
        self._suspected_at = clock() - HOLD
        self._is_suspected = False
        self._until = clock() - HOLD
        self._stop = FIRST_STOP
        self._closing: Closing | None = None
        self._closings = 0
        self._watchers: list[Callable[[], None]] = []

    @property
    def watching(self) -> bool:
        """Whether anything was refused lately; while nothing is, outcomes need not be counted."""
        return self._clock() - self._refused_at < WINDOW

    @property
    def stopped(self) -> bool:
        """Whether the lanes must rest now."""
        return self._clock() < self._until

    @property
    def remaining(self) -> float:
        """Seconds until the lanes may try again."""
        return max(0.0, self._until - self._clock())

    @property
    def closing(self) -> Closing | None:
        """Why it is closed; None while it is open."""
        return self._closing if self.stopped else None

    @property
    def keep_for(self) -> float:
        """Seconds after which a message that is refused now is to be delivered again; 0: it may be dead-lettered."""
        if self.stopped:
            return AGAIN
        return max(0.0, max(self._suspected_at, self._until) + HOLD - self._clock())

    def watch(self, callback: Callable[[], None]) -> None:
        """Calls back whenever the brake closes, or is opened by `resume`."""
        self._watchers.append(callback)

    def count(self, stream: str, outcomes: Iterable[tuple[str, str]]) -> bool:
        """Adds outcomes: for each message its publisher and the code of its refusal, empty where it was not refused.
        True when the brake has just closed."""
        now = self._clock()
        if self.stopped:
            return False  # batches that were in flight when it closed say nothing of how the sink is afterwards
        if now - self._since > WINDOW:
            self._begin(now)
        pairs = list(outcomes)
        self._tally.add(now, stream, pairs)
        if any(code for _, code in pairs):
            self._refused_at = now
        verdict = self._tally.verdict(now)
        if verdict == "suspected" and not self._is_suspected:
            self._is_suspected, self._suspected_at = True, now
        if verdict != "broken":
            return False
        self._close(now)
        return True

    def resume(self) -> None:
        """Opens at once. Closes again if the next messages are refused, too."""
        if self.stopped:
            self._until = self._clock()
            self._stop = FIRST_STOP
            self._changed()

    def reason(self) -> str:
        """For whom it concerns: what was refused, since when, until when, what to do. Empty while it is open."""
        if (closing := self.closing) is None:
            return ""
        refused = [f"{name} {bad} of {all}" for name, (bad, all) in closing.publishers.items()]
        named = ", ".join(refused[:NAMED]) + (f" and {len(refused) - NAMED} more" if len(refused) > NAMED else "")
        return (
            f"the brake is closed since {_time(closing.since)} until {_time(closing.until)}: most messages of"
            f" {len(refused)} publishers were refused with {', '.join(closing.codes)} ({named}); they are kept, not"
            f" dead-lettered. Compare with earlier dead letters: `penstock dlq list --worker {self.worker}`; roll the"
            f" last deploy back or repair the sink, then: `penstock worker resume {self.worker} --reason …`"
        )

    def refresh(self) -> None:
        """Sets the metric back when the brake has opened by itself."""
        if self._closing is not None and not self.stopped:
            for code in self._closing.codes:
                metrics.BRAKED.labels(self.worker, self._traffic, code).set(0)
            self._closing = None

    def close(self) -> None:
        """Its lanes have ended: the metric is set back."""
        self._until = min(self._until, self._clock())
        self.refresh()

    def _begin(self, now: float) -> None:
        if not self._tally.verdict(now):
            self._is_suspected = False
            self._stop = FIRST_STOP
        self._since = now
        self._tally.clear()

    def _close(self, now: float) -> None:
        self.refresh()
        codes: dict[str, int] = {}
        publishers: dict[str, tuple[int, int]] = {}
        for (_, publisher), counts in self._tally.bad(now).items():
            refused, total = publishers.get(publisher, (0, 0))
            publishers[publisher] = (refused + counts.refused, total + counts.total)
            for code, count in counts.codes.items():
                codes[code] = codes.get(code, 0) + count
        worst = sorted(publishers.items(), key=lambda each: -each[1][0])
        since = self._wall_clock()
        self._closings += 1
        self._closing = Closing(
            self._closings, since, since + self._stop, tuple(sorted(codes, key=lambda c: -codes[c])), dict(worst)
        )
        self._until = self._since = now + self._stop
        self._stop = min(2 * self._stop, LONGEST_STOP)
        self._is_suspected = False
        self._tally.clear()
        for code in codes:
            metrics.BRAKED.labels(self.worker, self._traffic, code).set(1)
        self._changed()

    def _changed(self) -> None:
        self.refresh()
        for callback in self._watchers:
            callback()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
