"""Replays under SIGKILL of everything that carries them out, counted at the stores: nothing is missed, nothing is there
twice, and the run goes on within five seconds.

Each round loses all that its run is to bring back, then kills at random moments. A few rounds here; `pytest -m soak
tests/journeys/test_replay_kills.py` makes ROUNDS=20, SEED=… repeats them, and ROUND=19 plays that one alone, with
EVENTS=9000 as many as it had.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import pytest

from penstock.broker import Broker
from penstock.errors import Refused, Unavailable
from penstock.events import timestamps
from penstock.rpc.messages import ReplayReport, ReplayRun
from penstock.stack.place import Place
from tests.support.full_stack import FullStack
from tests.support.losses import lose_indices, lose_rows
from tests.support.replay_console import Console
from tests.support.replay_kills import COMMAND, ReplayKills, Watching, ended_well
from tests.support.until import until

ROUNDS = int(os.environ.get("ROUNDS") or 20)
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1_000_000))
ROUND = os.environ.get("ROUND")
EVENTS = int(os.environ.get("EVENTS") or 600)  # before the first round
SHORT = 3  # rounds of `make test`
SPAN = 2.5  # seconds that a run would take at its full rate
RESUMED_SECONDS = 5.0
BOUND = 120.0
DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What is replayed, and how to lose what that brings back."""

    target: str
    source: str
    lose: Callable[[Place], None]

    @property
    def victims(self) -> tuple[str, ...]:
        """What may be killed."""
        feeder = ("writer_0",) if self.source == "store" else ()
        return (f"{self.target}_0", *feeder, "nats", "operator_0", "operator_1", COMMAND)


def _lose_scores(place: Place) -> None:
    lose_indices(place, "scored-*")
    lose_rows(place, "scores")


ALWAYS = "2015-01-01T00:00:00Z"
KINDS = (
    Kind("indexer", "store", partial(lose_indices, pattern="events-*")),
    Kind("writer", "events", lambda place: lose_rows(place, "events", "timeline")),
    Kind("scorer", "events", _lose_scores),
    Kind("indexer", "events", partial(lose_indices, pattern="events-*")),
    Kind("scorer", "store", _lose_scores),
)


@pytest.fixture
async def console(full_stack: FullStack) -> AsyncIterator[Console]:
    broker = await Broker.connect(full_stack.place.nats, "replayer", full_stack.place.credentials_folder)
    yield Console(broker)
    await broker.drain()


@pytest.mark.timeout(300 + 90 * max(ROUNDS, SHORT))
@pytest.mark.parametrize("rounds", [SHORT, pytest.param(ROUNDS, marks=pytest.mark.soak)])
async def test_no_event_is_missed_or_stored_twice_whatever_is_killed(
    full_stack: FullStack, console: Console, rounds: int
) -> None:
    full_stack.note(f"SEED={SEED}")
    async with full_stack.senders(gap=0.1) as senders:
        await senders.more(EVENTS)
    worst, kills = 0.0, 0
    for number in [int(ROUND)] if ROUND else range(rounds):
        chosen = random.Random(f"{SEED}-{number}")
        standstill, killed = await play(full_stack, console, chosen, KINDS[number % len(KINDS)], f"{SEED}-{number}")
        worst, kills = max(worst, standstill), kills + killed
    full_stack.note(f"{rounds} rounds, {kills} kills, SEED={SEED}: stood still for {worst:.1f} s at most")


async def play(stack: FullStack, console: Console, chosen: random.Random, kind: Kind, name: str) -> tuple[float, int]:
    """One round; the longest standstill in seconds, and how many kills there were."""
    await stack.settled()
    letters = len(await stack.dead_letters())
    await asyncio.to_thread(kind.lose, stack.place)
    # From the store by the events' own time, and those of other journeys are years old.
    since = ALWAYS if kind.source == "store" else timestamps.text(time.time_ns() - 2 * DAY_NS)
    async with stack.senders(batch=5, gap=0.5):
        rate = len(stack.accepted) / SPAN
        plan = await console.plan(kind.target, source=kind.source, time={"from": since}, rate=rate)
        assert plan.counts.total
        stack.note(f"{kind.target} from {kind.source}: {plan.counts.total} planned, {rate:.0f} a second")
        watching = Watching(stack, plan.hash, f"kills-{name}")
        kills = ReplayKills(stack, chosen, watching)
        await watching.start()
        for step in range(number := chosen.randrange(2, 4)):
            run = await reached(console, f"kills-{name}", plan.counts.total * step // number)
            await kills.kill(chosen.sample(kind.victims, 2 if chosen.random() < 0.4 else 1))
        status = await console.in_state(run, "done", "failed", bound=BOUND)
        await ended_well(watching)
    assert status.run.state == "done", status.run.changes[-1]
    parked = await proven(console, run)
    standstill = await kills.longest_standstill(run)
    await stack.settled()
    stored = await stack.dead_letters()
    codes = Counter(letter.headers.get("x-penstock-code") for letter in stored[letters:])
    assert codes.total() == parked, codes
    stack.letters = len(stored)
    count = await stack.assert_complete()
    stack.note(f"{kills.count} kills, stood still for {standstill:.1f} s at most; {count} events in each store")
    assert standstill < RESUMED_SECONDS
    return standstill, kills.count


async def reached(console: Console, id: str, total: int) -> ReplayRun:
    """Waits until the run has so many outcomes, or has ended; the run."""

    async def look() -> ReplayRun | None:
        try:
            run = ReplayRun.model_validate((await console.ask("status", {"run": id}))["run"])
            found = await console.status(run)
        except Unavailable:
            return None
        except Refused as error:
            if error.code != "NOT_FOUND":  # not applied yet
                raise
            return None
        return run if found.outcomes.total >= total or found.run.state in ("done", "failed") else None

    return await until(look, BOUND)


async def proven(console: Console, run: ReplayRun) -> int:
    """The sum holds; how many were parked."""
    report = ReplayReport.model_validate(await console.ask("report", {"run": run.id}))
    assert report.holds, report
    outcomes = [proof.outcomes for proof in report.streams]
    assert report.run.planned == sum([each.confirmed + each.skipped + each.parked for each in outcomes])
    return sum([each.parked for each in outcomes])
