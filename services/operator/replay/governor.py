"""the run's rate, the target's live lag, its sink → the rate that is allowed now, and why it is less than the run's.

Begins at a tenth and doubles every two seconds. While live traffic lags or a sink asks for less it halves every half
second, down to nothing; afterwards it comes back by a tenth of the rate a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FIRST = 0.1  # of the rate
DOUBLING = 2.0  # seconds
HALVING = 0.5  # seconds
BACK = 0.1  # of the rate a second
LEAST = 0.01  # of the rate; below it nothing is allowed

BUSY = 0.1  # of the time that live messages take, from which on it is they that slow a replay down
SLOW = 0.9  # of what is allowed, below which a replay is slow

LAG_SECONDS = 2.0  # worth of live traffic that may wait, and the age that it may have
LAG_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class Load:
    """What the target has to do beside the replay: messages that wait for its live lanes, how many it handles a second,
    how old the next one is, and refusals of its sink that ask for less."""

    pending: int = 0
    per_second: float = 0.0
    behind: float = 0.0
    push_back: int = 0

    def reason(self, target: str) -> str:
        """Why a replay must hold back; empty when it need not."""
        if self.pending > max(LAG_SECONDS * self.per_second, LAG_MESSAGES):
            return f"live {target} has {self.pending:,} messages waiting, more than {LAG_SECONDS:.0f} s of its own work"
        if self.behind > LAG_SECONDS:
            return f"live {target} is {self.behind:.1f} s behind"
        if self.push_back:
            return f"the sink of {target} refused {self.push_back} requests for now"
        return ""


class Governor:
    """The share of a run's rate that is allowed, from one tick to the next."""

    def __init__(self) -> None:
        self._share = FIRST
        self._braked = False

    def tick(self, rate: float, load: Load, target: str, seconds: float) -> tuple[float, str]:
        """Events a second allowed from now on, and why not the whole rate; `seconds` since the last tick."""
        if reason := load.reason(target):
            self._braked = True
            self._share *= 0.5 ** (seconds / HALVING)
            if self._share < LEAST:
                self._share = 0.0
            return rate * self._share, f"braked: {reason}"
        self._share = min(
            self._share + BACK * seconds if self._braked else self._share * 2 ** (seconds / DOUBLING), 1.0
        )
        if self._share < 1.0:
            return rate * self._share, "coming back after the brake" if self._braked else "starting slowly"
        self._braked = False
        return rate, ""

    def restart(self) -> None:
        """Begins again, after a pause."""
        self._share, self._braked = FIRST, False


def slowed(busy: float, target: str, rate: float, allowed: float) -> str:
    """Why a replay is slower than it may be; `busy`: the share of the time in which its workers handle live messages,
    between which it takes its turns."""
    if busy < BUSY or rate >= SLOW * allowed:
        return ""
    return f"live {target} is busy {busy:.0%} of the time, and goes first"


def shares(rate: float, used: Mapping[str, float]) -> dict[str, float]:
    """The rate divided among replicas by what each used lately (events a second): who needs little leaves it to others,
    and everybody has room to grow."""
    if not used:
        return {}
    even = rate / len(used)
    modest = {name: even * 0.25 + each * 1.25 for name, each in used.items() if each * 1.25 < even * 0.75}
    busy = [name for name in used if name not in modest]
    left = rate - sum(modest.values())
    if not busy:
        return dict.fromkeys(used, even)
    return modest | dict.fromkeys(busy, left / len(busy))
