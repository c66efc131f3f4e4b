"""DeadLetterMatch → the dead letters that match, from the index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from penstock.contracts import load
from penstock.errors import Refused
from penstock.rpc.messages import DeadLetterMatch, DeadLetterState
from penstock.services.operator.dead_letters import dead_letter
from penstock.services.operator.dead_letters.index import STATES, Group, Index
from penstock.services.operator.replay.bounds import moment

AT_ONCE = 65_536  # dead letters looked at before others have their turn


@dataclass(frozen=True, slots=True)
class Selected:
    """A dead letter of the index."""

    sequence: int
    group: Group
    state: DeadLetterState
    second: int


async def select(index: Index, match: DeadLetterMatch) -> AsyncIterator[Selected]:
    """The dead letters that match, oldest first. Raises Refused REPLAY_FILTER_INVALID, REPLAY_BOUNDS_INVALID."""
    check(match)
    groups = {number: group for number, group in index.groups if _matches(group, match)}
    states = {STATES.index(state) for state in match.states or ("open",)}
    begin, end = _times(match)
    for first, last in _spans(match, index.end - 1):
        for low in range(max(first, index.first), last + 1, AT_ONCE):
            for sequence, number, state, second in index.places(low, min(low + AT_ONCE - 1, last)):
                if state in states and begin <= second < end and (group := groups.get(number)) is not None:
                    yield Selected(sequence, group, STATES[state], second)
            await asyncio.sleep(0)


def bounded(match: DeadLetterMatch) -> bool:
    """Whether it names anything but states: an act on all dead letters at once is always a mistake."""
    return any((match.workers, match.codes, match.types, match.publishers, match.sequences, match.time))


def check(match: DeadLetterMatch) -> None:
    """Raises Refused REPLAY_FILTER_INVALID for a code that no worker gives, so that a typing error matches nothing
    silently."""
    errors = load().errors
    for code in match.codes:
        if code not in errors and code != dead_letter.UNKNOWN:
            raise Refused("REPLAY_FILTER_INVALID", f"{code} is no error code of the contracts", pointer="/match/codes")


def _matches(group: Group, match: DeadLetterMatch) -> bool:
    conditions: Sequence[tuple[list[str], str]] = (
        (match.workers, group.worker),
        (match.codes, group.code),
        (match.types, group.type),
        (match.publishers, group.publisher),
    )
    return all(not wanted or value in wanted for wanted, value in conditions)


def _times(match: DeadLetterMatch) -> tuple[float, float]:
    """Unix seconds, from inclusive, to exclusive."""
    now_ns = time.time_ns()
    wanted = match.time
    begin = moment(wanted.from_, now_ns) if wanted is not None and wanted.from_ is not None else 0
    end = moment(wanted.to, now_ns) if wanted is not None and wanted.to is not None else None
    if end is not None and begin >= end:
        raise Refused("REPLAY_BOUNDS_INVALID", "`from` does not lie before `to`", pointer="/match/time")
    return begin // 1_000_000_000, float("inf") if end is None else -(-end // 1_000_000_000)


def _spans(match: DeadLetterMatch, last: int) -> list[tuple[int, int]]:
    """The spans of sequences, ascending, none twice."""
    if not match.sequences:
        return [(1, last)]
    merged: list[tuple[int, int]] = []
    for span in sorted(match.sequences, key=lambda each: each.first):
        if span.first > span.last:
            raise Refused("REPLAY_BOUNDS_INVALID", f"{span.first} lies behind {span.last}", pointer="/match/sequences")
        end = min(span.last, last)
        if merged and span.first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((span.first, end))
    return merged
