"""durable consumer → pulls → batches → handle → settled one by one: acknowledged, retried later, or dead-lettered.

    Puller ─┬▶ Batcher ───▶ batches, `in_flight` at a time ─┬▶ BatchHandler ─▶ Settler
            └▶ Isolation ─▶ one message, alone ─────────────┘

Nothing is lost: a message leaves the consumer only by +ACK after the handler said Done, or by +TERM after its dead
letter is stored. Everything held here is bounded, and kept from timing out by in-progress acks.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import chain

import structlog

from penstock.broker import Broker
from penstock.consume import metrics
from penstock.consume.backlog import Backlog
from penstock.consume.batch_handler import BatchHandler, Handle
from penstock.consume.batcher import Batcher
from penstock.consume.brake import Brake
from penstock.consume.crash_counter import CrashCounter
from penstock.consume.dead_letters import DeadLetters
from penstock.consume.delivery import Delivery, settle_bytes
from penstock.consume.in_flight import InFlight
from penstock.consume.intake import Intake
from penstock.consume.isolation import SUSPECT_FROM, Isolation
from penstock.consume.options import LaneOptions
from penstock.consume.outcome import Outcome
from penstock.consume.pull import SILENCE, Puller
from penstock.consume.settle import Record, Settler
from penstock.errors import Unavailable
from penstock.stopping import set_within
from penstock.telemetry import traces

_log = structlog.get_logger("penstock.consume.lane")

REFUSALS = 2  # batches in a row of which the sink took nothing; then the lane rests, and is not ready
REFUSED = 30.0  # seconds for which that is said; the messages may have gone to another replica
STUCK = 60.0  # seconds in one batch, after which the process is not ready
CHECK_PULLS_EVERY = 0.5  # seconds
LOOK_EVERY = 10.0  # seconds between looks at the consumer's numbers
RANGES_EVERY = 0.5  # seconds between looks at messages that wait for the range of their dead letters
FLUSH_SECONDS = 1.0  # that the way out waits for the server to read the last acks


class Lane:
    """One durable consumer, worked on by this process."""

    def __init__(
        self,
        broker: Broker,
        stream: str,
        consumer: str,
        handle: Handle,
        options: LaneOptions | None = None,
        *,
        dead_letters: DeadLetters,
        crash_counter: CrashCounter | None = None,
        brake: Brake | None = None,
        intake: Intake | None = None,
        record: Record | None = None,
    ) -> None:
        """`handle` gets up to `options.batch` deliveries and returns as many outcomes, in their order. A lane without
        an `intake` takes every delivery; with `record` nothing is settled for good before it is recorded. Lanes that
        write to one sink share a `brake`."""
        self.stream = stream
        self.consumer = consumer
        self._broker = broker
        self._options = options or LaneOptions()
        self._bounds = self._options.bounds
        self._dead_letters = dead_letters
        self._brake = brake or Brake(dead_letters.worker)
        self._intake = intake
        self._wake = asyncio.Event()
        self._brake.watch(self._wake.set)
        self._free = asyncio.Semaphore(self._options.in_flight)
        self.batcher = Batcher(self._options, self._wake.set)
        self._isolation = Isolation(crash_counter, self._free, self._options.in_flight)
        self._in_flight = InFlight()
        self._backlog = Backlog(broker, stream, consumer, is_live=intake is None)
        after_failure = self._options.after_failure
        self._settler = Settler(broker, stream, consumer, dead_letters, self._brake, after_failure, record)
        # What is replayed belongs to traces that are long over.
        tracer = traces.tracer() if intake is None else None
        self._handler = BatchHandler(stream, consumer, handle, self._settler, self._in_flight, after_failure, tracer)
        self.puller = Puller(broker, stream, consumer, self._deliver, self._room, self._pull_most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals = 0
        self._refused_at = 0.0
        self._rest_until = 0.0
        self._tick = 0
        self._stopping = asyncio.Event()
        labels = (stream, consumer)
        self._held_gauge = metrics.LANE_HELD.labels(*labels)

    # -- what it is doing

    @property
    def held(self) -> int:
        """Messages delivered and not settled."""
        return len(self.batcher) + len(self._isolation.queue) + self._in_flight.messages

    @property
    def held_bytes(self) -> int:
        """Their payloads."""
        return self.batcher.bytes + self._in_flight.bytes + sum([len(each.data) for each in self._isolation.queue])

    @property
    def behind(self) -> float:
        """Age in seconds of the newest delivery, as long as it or others wait to be handled."""
        return self._backlog.behind(self.held)

    @property
    def pending(self) -> int:
        """Messages that wait here or, as far as this process knows, on the consumer."""
        return self.held + self._backlog.pending

    async def look(self) -> None:
        """Looks up what waits on the consumer; a lane that is full hears no more of it by deliveries."""
        await self._backlog.look(self.held)

    @property
    def newest(self) -> Delivery | None:
        """The delivery that came last."""
        return self._backlog.last

    @property
    def braked(self) -> bool:
        """Whether it rests because too much was refused."""
        return self._brake.stopped

    @property
    def batch_waiting(self) -> bool:
        """Whether a full batch waits for others to be handled."""
        return self.batcher.full

    @property
    def at_work(self) -> bool:
        """Whether a batch is being handled, or could be."""
        return bool(self._in_flight.messages) or self.batcher.ready

    @property
    def busy_seconds(self) -> float:
        """For how long batches have been handled so far, in all; those side by side count once."""
        return self._in_flight.busy_seconds

    def unready_reason(self) -> str:
        """Why this lane does not progress, in a sentence; empty while it does."""
        held = self.held
        silent = time.monotonic() - self.puller.answered_at
        reason = ""
        if self._brake.stopped:
            return self._brake.reason()
        if self._dead_letters.failing:
            reason = f"dead letters cannot be stored: {self._dead_letters.failing}"
        elif self._is_refused and self._handler.refusal:
            reason = f"the last batches were not taken: {self._handler.refusal}"
        elif self._in_flight.longest() > STUCK:
            reason = f"a batch has been in flight for more than {STUCK:.0f} s"
        elif (self.puller.outstanding or not (held or self.puller.paused)) and silent > SILENCE + 1.0:
            reason = "the consumer does not answer pulls"
        elif self._backlog.is_late(held):
            reason = f"{self.behind:.0f} s behind, more than half of what the stream keeps"
        return reason and f"{self.stream}/{self.consumer}: {reason}"

    @property
    def _is_refused(self) -> bool:
        return self._refusals >= REFUSALS and time.monotonic() - self._refused_at < REFUSED

    # -- life

    async def run(self, stop: asyncio.Event, *, grace: float = 8.0) -> None:
        """Works until `stop`; then pulls no more, finishes what is in flight within `grace` seconds, gives the rest
        back."""
        await self._backlog.look(self.held)
        await self.puller.start()
        name = f"{self.stream}/{self.consumer}"
        working = [asyncio.create_task(coroutine, name=name) for coroutine in (self._feed(), self._store_ranges())]
        background = [
            asyncio.create_task(coroutine, name=name)
            for coroutine in (
                self._check_pulls(),
                self._keep_in_progress(),
                self._watch_backlog(),
            )
        ]
        stopped = asyncio.create_task(stop.wait(), name=f"{name} stop")
        try:
            await asyncio.wait([*working, stopped, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in (*working, *background):
                if task.done():
                    task.result()  # a defect here must end the process: a lane that stands still helps nobody
        finally:
            stopped.cancel()
            try:
                await self._finish(working, time.monotonic() + grace)
            finally:  # also when the process has no more time: whatever is held here is given back
                self._stopping.set()
                for task in (*working, *background, *self._tasks):
                    task.cancel()
                self.batcher.close()
                self._backlog.close()
                self._settler.give_back(list({each.reply: each for each in self._all_held()}.values()))
                self._dead_letters.waiting.forget(self._settler.settle_waiting)
            await asyncio.gather(*working, *background, stopped, *self._tasks, return_exceptions=True)
            with suppress(Unavailable):
                await self._broker.flush(FLUSH_SECONDS)

    async def _finish(self, working: list[asyncio.Task[None]], deadline: float) -> None:
        await self.puller.stop()  # meanwhile what comes is worked on as ever
        self._stopping.set()
        self._wake.set()
        await asyncio.wait([*working, *self._tasks], timeout=max(deadline - time.monotonic(), 0.0))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - time.monotonic(), 0.0)):
                await self._dead_letters.store_waiting()

    # -- in

    def _most(self) -> int:
        most = self._bounds.messages
        return most if self._intake is None else min(most, self._intake.most())

    def _pull_most(self) -> int:
        return max(self._most() // 2, 1)

    def _room(self) -> tuple[int, int]:
        return self._most() - self.held, self._bounds.bytes - self.held_bytes

    def _deliver(self, delivery: Delivery) -> None:
        if self._stopping.is_set():
            self._settler.give_back([delivery])
            return
        if self._intake is not None and (verb := self._intake.refuse(delivery)) is not None:
            self._settler.write(settle_bytes([delivery.reply], verb))
            return
        self._backlog.last = delivery
        delivery.tick = self._tick
        # Deliveries that no retry accounts for were never settled: a crash, a time-out, or a handler that raised.
        if delivery.delivered >= SUSPECT_FROM <= delivery.delivered - self._settler.retries_of(delivery):
            self._isolation.queue.append(delivery)
            self._wake.set()
        else:
            self.batcher.add(delivery)

    # -- through

    async def _feed(self) -> None:
        """Starts batches as they become ready, until the lane stops."""
        while not self._stopping.is_set():
            rest = max(self._rest_until - time.monotonic(), self._brake.remaining)
            if rest > 0:
                self.puller.paused = True
                self._wake.clear()
                await set_within(self._wake, rest)  # the brake may open earlier
            elif self.puller.paused:
                self._brake.refresh()
                self.puller.resume()
            elif self._isolation.queue:
                await self._isolation.handle_first(self._handle_alone, self._stopping)
            elif self.batcher.ready:
                await self._free.acquire()
                if self._stopping.is_set() or self._brake.stopped:
                    self._free.release()
                    continue
                batch = self.batcher.next()
                self._in_flight.take(batch)
                task = asyncio.create_task(self._work(batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _work(self, batch: list[Delivery]) -> None:
        try:
            again = await self._handler.run(batch)
            self._released()
            self._refusals = self._refusals + 1 if again == len(batch) else 0
            if self._refusals >= REFUSALS:  # the sink takes nothing: rest, instead of passing the stream through
                self._refused_at = time.monotonic()
                self._rest_until = self._refused_at + self._options.after_failure
        finally:
            self._free.release()
            self._wake.set()

    async def _handle_alone(self, delivery: Delivery, outcome: Outcome | None) -> None:
        batch = [delivery]
        self._in_flight.take(batch)
        await self._handler.run(batch, None if outcome is None else [outcome])
        self._released()

    def _released(self) -> None:
        self._held_gauge.set(self.held)
        self.puller.refill()

    def _all_held(self) -> chain[Delivery]:
        waiting = self._dead_letters.waiting.of(self._settler.settle_waiting)
        return chain(self.batcher, self._isolation.queue, self._in_flight, waiting)

    # -- background tasks

    async def _check_pulls(self) -> None:
        while True:
            await asyncio.sleep(CHECK_PULLS_EVERY)
            self.puller.check()

    async def _keep_in_progress(self) -> None:
        """In-progress acks for whatever has been held for longer than a third of the time it may."""
        while True:
            await asyncio.sleep(self._backlog.ack_wait / 3)
            self._settler.keep([delivery for delivery in self._all_held() if delivery.tick < self._tick])
            self._tick += 1

    async def _store_ranges(self) -> None:
        """Until the lane stops: a range under way is finished, as a stored one covers what would be given back."""
        while not await set_within(self._stopping, RANGES_EVERY):
            if len(self._dead_letters.waiting):
                await self._dead_letters.store_due()

    async def _watch_backlog(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._backlog.look(self.held)
