"""durable consumer → pulls → batches → handle → settled one by one: acknowledged, retried later, or dead-lettered.

    deliveries ─▶ queue ─┬▶ batch of up to `batch`, or what came within `linger` ─▶ handle, `in_flight` at a time ─▶
    settle               │  (`linger_most` when so many come that waiting makes a batch worth it)
                         └▶ suspect (4th delivery): alone, and dead-lettered when it took the process down three times

Nothing is lost: a message leaves the consumer only by +ACK after the handler said Done, or by +TERM after its dead
letter is stored. Everything held here is bounded, and kept from timing out by in-progress acks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.brake import Brake
from penstock.consume.crash_counter import CrashCounter
from penstock.consume.dead_letters import DeadLetters
from penstock.consume.delivery import Delivery
from penstock.consume.entity_order import Holds
from penstock.consume.outcome import Drop, Outcome, Retry
from penstock.consume.pull import SILENCE, Puller
from penstock.consume.settle import AFTER_FAILURE, FAILED, Settler
from penstock.errors import PenstockError, Unavailable

_log = structlog.get_logger("penstock.consume.lane")

Handle = Callable[[list[Delivery]], Awaitable[list[Outcome]]]

FRAGILE_FROM = 4  # deliveries; from then on a message is handled alone
CRASHES = 3  # tries alone that killed the process, before the message is dead-lettered
REFUSALS = 2  # batches in a row of which the sink took nothing; then the lane rests
STUCK = 60.0  # seconds in one batch, after which the process is not ready
POLL = 10.0  # seconds between looks at the consumer's state
WORTH_WAITING = 100  # messages that have to come within `linger_most`, if a batch is to wait that long


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lane may hold, and what it may put into one batch."""

    messages: int
    bytes: int = 32 * 1024 * 1024
    batch_bytes: int = 8 * 1024 * 1024


class Lane:
    """One durable consumer, worked on by this process."""

    def __init__(
        self,
        broker: Broker,
        stream: str,
        consumer: str,
        handle: Handle,
        *,
        batch: int = 500,
        in_flight: int = 2,
        linger: float = 0.02,
        linger_most: float = 0.0,
        dead_letters: DeadLetters,
        attempts: CrashCounter | None = None,
        hold_by: Callable[[Delivery], str] | None = None,
        limits: Limits | None = None,
        brake: Brake | None = None,
    ) -> None:
        """`handle` gets up to `batch` deliveries and answers with as many outcomes, in their order. `linger` in
        seconds, and `linger_most` under load, when a store is spared small batches; 0: never longer than `linger`.

        With `hold_by` a retried message holds its entity (holds.py); such a lane needs `in_flight=1`.
        """
        self.stream = stream
        self.consumer = consumer
        self.ack_wait = 30.0  # seconds; the consumer's, once it was seen
        self._broker = broker
        self._handle = handle
        self._batch = batch
        self._in_flight = in_flight
        self._linger = linger
        self._linger_most = max(linger_most, linger)
        self._wait = linger  # between the two, by how many messages came lately
        self._timer: asyncio.TimerHandle | None = None
        self._dead_letters = dead_letters
        self._attempts = attempts
        self._limits = limits or Limits(messages=batch * (in_flight + 2))
        self._brake = brake or Brake()
        self._holds = Holds(hold_by) if hold_by else None
        self._settler = Settler(broker, stream, consumer, dead_letters, self._brake, self._holds)
        self._puller = Puller(broker, stream, consumer, self._deliver, self._room, max(self._limits.messages // 2, 1))
        self._queue: deque[Delivery] = deque()
        self._suspects: deque[Delivery] = deque()
        self._working: dict[int, tuple[float, list[Delivery]]] = {}
        self._count = 0  # messages held: queued or in hand
        self._bytes = 0
        self._queued_bytes = 0
        self._due = False  # the first of the queue has waited long enough
        self._wake = asyncio.Event()
        self._free = asyncio.Semaphore(in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._rest_until = 0.0
        self._tick = 0
        self._stopping = asyncio.Event()
        self._max_age = 0.0
        self._last: Delivery | None = None
        labels = (stream, consumer)
        self._failures = metrics.HANDLE_FAILURES.labels(*labels)
        self._seconds = metrics.HANDLE_SECONDS.labels(*labels)
        self._held = metrics.LANE_HELD.labels(*labels)
        self._behind = metrics.LANE_BEHIND_SECONDS.labels(*labels)
        self._pending = metrics.LANE_PENDING.labels(*labels)
        self._braked = metrics.LANE_BRAKED.labels(*labels)

    # -- life

    async def run(self, stop: asyncio.Event, *, grace: float = 8.0) -> None:
        """Works until `stop`; then pulls no more, finishes what is in hand within `grace` seconds, gives the rest
        back."""
        await self._look()
        await self._puller.start()
        name = f"{self.stream}/{self.consumer}"
        feed = asyncio.create_task(self._feed(), name=name)
        chores = [
            asyncio.create_task(chore, name=name) for chore in (self._pulse(), self._keep(), self._keep_looking())
        ]
        stopped = asyncio.create_task(stop.wait(), name=f"{name} stop")
        try:
            await asyncio.wait([feed, stopped, *chores], return_when=asyncio.FIRST_COMPLETED)
            for task in (feed, *chores):
                if task.done():
                    task.result()  # a defect here must end the process: a lane that stands still helps nobody
        finally:
            stopped.cancel()
            await self._finish(feed, grace)
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, stopped, return_exceptions=True)

    async def _finish(self, feed: asyncio.Task[None], grace: float) -> None:
        await self._puller.stop()  # meanwhile what comes is worked on as ever
        self._stopping.set()
        self._wake.set()
        await asyncio.wait([feed, *self._tasks], timeout=grace)
        for task in (feed, *self._tasks):
            task.cancel()
        await asyncio.gather(feed, *self._tasks, return_exceptions=True)
        self._settler.give_back(self._all_held())
        with suppress(Unavailable):
            await self._broker.flush(1.0)

    def unready_reason(self) -> str:
        """Why this lane does not progress, in a sentence; empty while it does."""
        now = time.monotonic()
        asked, silent = self._puller.outstanding, now - self._puller.answered_at
        reason = ""
        if self._brake.stopped:
            reason = f"the brake holds the lane for {self._brake.remaining:.0f} s more"
        elif self._dead_letters.failing:
            reason = f"dead letters cannot be stored: {self._dead_letters.failing}"
        elif any(now - since > STUCK for since, _ in self._working.values()):
            reason = f"a batch has been in hand for more than {STUCK:.0f} s"
        elif (asked or not self._count) and silent > SILENCE + 1.0:
            reason = "the consumer does not answer pulls"
        elif self._max_age and self.behind > self._max_age / 2:
            reason = f"{self.behind:.0f} s behind, more than half of what the stream keeps"
        return reason and f"{self.stream}/{self.consumer}: {reason}"

    @property
    def behind(self) -> float:
        """Age in seconds of the message delivered last, as long as others wait behind it."""
        last = self._last
        if last is None or not (last.pending or self._count):
            return 0.0
        return max(0.0, time.time() - last.stored_at_ns / 1e9)

    # -- in

    def _room(self) -> tuple[int, int]:
        return self._limits.messages - self._count, self._limits.bytes - self._bytes

    def _deliver(self, delivery: Delivery) -> None:
        if self._stopping.is_set():
            self._settler.give_back([delivery])
            return
        self._count += 1
        self._bytes += len(delivery.data)
        self._last = delivery
        delivery.tick = self._tick
        # Deliveries that no retry accounts for were never settled: a crash, a time-out, or a handler that raised.
        if delivery.delivered >= FRAGILE_FROM <= delivery.delivered - self._settler.retries_of(delivery):
            self._suspects.append(delivery)
            self._wake.set()
            return
        self._queue.append(delivery)
        self._queued_bytes += len(delivery.data)
        if len(self._queue) == 1:
            self._start_linger()
        if self._full():
            self._wake.set()

    def _full(self) -> bool:
        """Whether waiting would not make the next batch any larger."""
        return len(self._queue) >= self._batch or self._queued_bytes >= self._limits.batch_bytes

    def _start_linger(self) -> None:
        self._due = False
        if self._timer is not None:
            self._timer.cancel()
        if self._wait > 0:
            self._timer = asyncio.get_running_loop().call_later(self._wait, self._linger_over)
        else:
            self._linger_over()

    def _linger_over(self) -> None:
        self._due = True
        if self._wait > 0 and self._queue:
            within_most = len(self._queue) * self._linger_most / self._wait
            self._wait = self._linger_most if within_most >= WORTH_WAITING else self._linger
        self._wake.set()

    # -- through

    async def _feed(self) -> None:
        """Starts batches as they become ready, until the lane stops."""
        while not self._stopping.is_set():
            rest = max(self._rest_until - time.monotonic(), self._brake.remaining)
            if rest > 0:
                self._puller.paused = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await self._stopping.wait()
                self._puller.paused = False
                self._braked.set(0)
                self._puller.refill()
            elif self._suspects:
                await self._alone(self._suspects.popleft())
            elif self._queue and (self._due or self._full()):
                await self._free.acquire()
                if self._stopping.is_set() or self._brake.stopped or not (batch := self._next()):
                    self._free.release()
                    continue
                task = asyncio.create_task(self._work(batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._wake.clear()
                await self._wake.wait()

    def _next(self) -> list[Delivery]:
        queue, size = self._queue, 0
        batch: list[Delivery] = []
        while queue and len(batch) < self._batch:
            length = len(queue[0].data)
            if batch and size + length > self._limits.batch_bytes:
                break
            size += length
            batch.append(queue.popleft())
        self._queued_bytes -= size
        if queue:
            self._start_linger()
        if self._holds is not None:
            batch, later = self._holds.part(batch)
            self._settler.retry(later)
            self._release([delivery for delivery, _ in later])
        return batch

    async def _work(self, batch: list[Delivery]) -> None:
        try:
            again = await self._process(batch)
            self._refusals = self._refusals + 1 if again == len(batch) else 0
            if self._refusals >= REFUSALS:  # the sink takes nothing: rest, instead of handing the stream through
                self._rest_until = time.monotonic() + AFTER_FAILURE
        finally:
            self._free.release()
            self._wake.set()

    async def _alone(self, delivery: Delivery) -> None:
        """Handles a suspect while nothing else is in hand, so that a crash is surely its own."""
        for _ in range(self._in_flight):
            await self._free.acquire()
        try:
            if self._stopping.is_set():
                self._suspects.append(delivery)  # given back with the others
                return
            if self._attempts is None:
                await self._process([delivery])
                return
            where = (delivery.stream, delivery.consumer, delivery.sequence)
            async with self._attempts.alone:
                crashes = self._attempts.begin(*where)
                crashed = Drop("WORKER_CRASHED", f"{crashes} tries to handle it alone took the process down")
                await self._process([delivery], [crashed] if crashes >= CRASHES else None)
                self._attempts.end(*where)
        finally:
            for _ in range(self._in_flight):
                self._free.release()
            self._wake.set()

    async def _process(self, batch: list[Delivery], outcomes: list[Outcome] | None = None) -> int:
        """Handles and settles; returns how many will come again. Cancelled, the batch stays in hand for _finish."""
        started = time.monotonic()
        self._working[id(batch)] = (started, batch)
        if outcomes is None:
            outcomes = await self._handled(batch)
        try:
            again = await self._settler.settle(batch, outcomes)
        except Exception as error:  # noqa: BLE001 - a defect must not leave messages in hand for ever
            _log.error("settle_failed", stream=self.stream, consumer=self.consumer, exc_info=error)
            self._settler.retry([(delivery, FAILED) for delivery in batch])
            again = len(batch)
        self._seconds.observe(time.monotonic() - started)
        del self._working[id(batch)]
        self._release(batch)
        return again

    async def _handled(self, batch: list[Delivery]) -> list[Outcome]:
        try:
            outcomes = await self._handle(batch)
            if len(outcomes) == len(batch):
                return outcomes
            error: Exception = ValueError(f"{len(outcomes)} outcomes for {len(batch)} deliveries")
        except PenstockError as raised:
            if raised.retriable:
                return [Retry(raised.retry_after or AFTER_FAILURE, raised.code)] * len(batch)
            error = raised
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises, its messages are kept
            error = raised
        self._failures.inc()
        _log.error("batch_failed", stream=self.stream, consumer=self.consumer, messages=len(batch), exc_info=error)
        return [FAILED] * len(batch)

    def _release(self, batch: list[Delivery]) -> None:
        self._count -= len(batch)
        self._bytes -= sum([len(delivery.data) for delivery in batch])
        self._held.set(self._count)
        self._puller.refill()

    def _all_held(self) -> list[Delivery]:
        held = [*self._queue, *self._suspects]
        for _, batch in self._working.values():
            held += batch
        return held

    # -- chores

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._puller.check()

    async def _keep(self) -> None:
        """In-progress acks for whatever has been held for longer than a third of the time it may."""
        while True:
            await asyncio.sleep(self.ack_wait / 3)
            self._settler.keep([delivery for delivery in self._all_held() if delivery.tick < self._tick])
            self._tick += 1

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            await self._look()

    async def _look(self) -> None:
        """The consumer's own numbers; where they cannot be had, the last ones stay."""
        try:
            info = await self._broker.consumer_info(self.stream, self.consumer)
            if not self._max_age:
                stream = await self._broker.stream_info(self.stream)
                self._max_age = stream.config.get("max_age", 0) / 1e9
        except PenstockError as error:
            _log.warning("consumer_unseen", stream=self.stream, consumer=self.consumer, reason=error.detail)
            return
        self.ack_wait = info.ack_wait
        self._pending.set(info.pending)
        self._behind.set(self.behind)
