"""A run under way on a whole stack → SIGKILL of what carries it out, at moments of a seed, and how long it stood still.

Whatever is killed is started again a moment later. What counts as standing still: everything runs, and no outcome is
recorded.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from penstock.contracts import subjects
from penstock.rpc.messages import ReplayRun
from tests.support.command import start_command
from tests.support.full_stack import FullStack
from tests.support.until import BOUND

COMMAND = "the command"
UNAVAILABLE, TRIES = 1, 3
LONGEST_DOWN = 1.5  # seconds until what was killed is started again, besides the time of its start
OPERATORS = ("operator_0", "operator_1")  # the run goes on with either
Span = tuple[float, float]  # Unix seconds


class Watching:
    """`penstock replay apply <hash> --run <id> --watch`, again and again: the same id is the same run."""

    def __init__(self, stack: FullStack, hash: str, run: str) -> None:
        self._stack = stack
        self._arguments = ("replay", "apply", hash, "--run", run, "--watch", "--json")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it."""
        self._process = await start_command(self._stack.place, *self._arguments)

    async def kill(self) -> None:
        """SIGKILL, wherever it is: starting, before or after its request, watching, or at its end."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def ended(self, bound: float) -> tuple[int, str]:
        """Waits for its end; exit code and errors."""
        assert self._process is not None
        async with asyncio.timeout(bound):
            _, errors = await self._process.communicate()
        return self._process.returncode or 0, errors.decode()


class ReplayKills:
    """The kills of one run."""

    def __init__(self, stack: FullStack, chosen: random.Random, watching: Watching) -> None:
        self.count = 0
        self._down: dict[str, list[Span]] = defaultdict(list)
        self._stack = stack
        self._chosen = chosen
        self._watching = watching

    async def kill(self, names: Sequence[str]) -> None:
        """Kills these at once, at some moment of the next half second, and starts each after a time of its own."""
        await asyncio.sleep(self._chosen.uniform(0.0, 0.5))
        downs = [self._chosen.uniform(0.0, LONGEST_DOWN) for _ in names]
        await asyncio.gather(*(self._kill(name, down) for name, down in zip(names, downs, strict=True)))

    async def _kill(self, name: str, down: float) -> None:
        self.count += 1
        began = time.time()
        if name == COMMAND:
            self._stack.note("kill the command")
            await self._watching.kill()
            await asyncio.sleep(down)
            await self._watching.start()
            return
        await self._stack.down(name)
        await asyncio.sleep(down)
        await self._stack.again(name)
        self._down[name].append((began, time.time()))

    async def longest_standstill(self, run: ReplayRun) -> float:
        """Seconds between two outcome records of the run in which everything ran."""
        subject, sequence = subjects.replay_log(run.target, run.id), 1
        times: list[float] = []
        while page := await self._stack.operator.jetstream.get_many("REPLAY_LOG", subject=subject, sequence=sequence):
            times += [message.stored_at_ns / 1e9 for message in page]
            sequence = page[-1].sequence + 1
        down = self._needed_down()
        return max((longest_without(pair, down) for pair in pairwise(times)), default=0.0)

    def _needed_down(self) -> list[Span]:
        """When something did not run without which a run cannot go on."""
        one, other = (self._down[name] for name in OPERATORS)
        both = [(max(a, c), min(b, d)) for a, b in one for c, d in other if max(a, c) < min(b, d)]
        return both + [span for name, spans in self._down.items() if name not in OPERATORS for span in spans]


def longest_without(span: Span, cuts: Sequence[Span]) -> float:
    """The longest piece of a span that lies in none of the others."""
    begin, end = span
    longest = 0.0
    for cut_begin, cut_end in sorted(cuts):
        if cut_end > begin and cut_begin < end:
            longest = max(longest, cut_begin - begin)
            begin = max(begin, cut_end)
    return max(longest, end - begin)


async def ended_well(watching: Watching, bound: float = BOUND) -> None:
    """The command says that the run is done; one that found no broker is repeated, as a script would."""
    for _ in range(TRIES):
        code, errors = await watching.ended(bound)
        if code != UNAVAILABLE:
            break
        await watching.start()
    assert code == 0, errors
