"""What a sink does not take now is tried again until it does, refuses, or patience ends; the rest is not touched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from penstock.consume import Again, Done, Drop, Outcome, Retry, SinkRetry, sink_retry
from tests.support.until import until

DONE = Done()
BOUND = 5.0  # seconds


class Store:
    """Takes a position at the try that `ready` says, and notes what it was given."""

    def __init__(self, ready: dict[int, int]) -> None:
        self.tries: list[list[int]] = []
        self.tried = asyncio.Event()
        self._ready = ready

    async def attempt(self, positions: Sequence[int]) -> list[Outcome | Again]:
        self.tries.append(list(positions))
        self.tried.set()
        return [DONE if self._ready.get(each, 1) <= len(self.tries) else Again("busy") for each in positions]


async def settle(retry: SinkRetry, store: Store, count: int) -> list[Outcome]:
    outcomes: list[Outcome] = [Drop("INTERNAL", "undecided")] * count
    await retry.settle(range(count), await store.attempt(range(count)), store.attempt, outcomes)
    return outcomes


async def test_only_what_failed_is_tried_again() -> None:
    store = Store({1: 2, 3: 3})
    assert await settle(SinkRetry(), store, 5) == [DONE] * 5
    assert store.tries == [[0, 1, 2, 3, 4], [1, 3], [3]]


async def test_at_the_end_of_patience_the_rest_is_handed_back_with_its_reason() -> None:
    store = Store({1: 1_000})
    assert await settle(SinkRetry(patience=0.5), store, 2) == [DONE, Retry(1.0, "busy")]
    assert store.tries[:2] == [[0, 1], [1]]


async def test_a_stop_hands_back_at_once_what_waits_and_what_fails_later() -> None:
    retry, store = SinkRetry(), Store({0: 1_000})
    waiting = asyncio.create_task(settle(retry, store, 1))
    async with asyncio.timeout(BOUND):
        await store.tried.wait()
    retry.stop()
    async with asyncio.timeout(BOUND):
        assert await waiting == [Retry(1.0, "busy")]
        assert await settle(retry, Store({0: 1_000}), 1) == [Retry(1.0, "busy")]


async def test_it_says_why_items_wait_for_long_and_only_while_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    retry, store = SinkRetry(), Store({0: 1_000})
    waiting = asyncio.create_task(settle(retry, store, 1))
    async with asyncio.timeout(BOUND):
        await store.tried.wait()
    assert retry.unready_reason() == ""
    monkeypatch.setattr(sink_retry, "LONG_WAIT", 0.0)
    await until(retry.unready_reason)
    assert await settle(retry, Store({}), 3) == [DONE] * 3  # others go through: it waits all the same
    assert retry.unready_reason() == "messages wait for the sink: busy"
    retry.stop()
    await waiting
    assert retry.unready_reason() == ""
