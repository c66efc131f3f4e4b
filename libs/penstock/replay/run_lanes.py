"""run → one low-priority lane for each of its ranges in this process, all at one pace, which the operator gives.

run's consumer ─▶ Lane (as for live messages) ─▶ Gate ─▶ the worker's handler ─▶ outcome record ─▶ ack
svc.replay.progress, twice a second ─▶ Pace
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from penstock.broker import Broker
from penstock.consume import Brake, CrashCounter, DeadLetters, Delivery, Drop, Handle, Lane, LaneOptions, Outcome
from penstock.errors import PenstockError, Refused
from penstock.events.dead_letter import RUN
from penstock.replay import metrics, origin, progress
from penstock.replay.gate import Gate
from penstock.replay.intake import RangeIntake, RedriveIntake
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.outcome_log import OutcomeLog
from penstock.replay.pace import Pace
from penstock.replay.run import Range, Run
from penstock.rpc.messages import ReplayProgress
from penstock.stopping import set_within

_log = structlog.get_logger("penstock.replay.run_lanes")

GRACE = 4.0  # seconds for what is in hand when a run ends here
LOOK_AGAIN = 1.0  # seconds before another look at a stream that could not be seen
VIA_REPLAY = ("dead_letters", "store")  # sources whose messages come on REPLAY


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """How a worker handles the messages of one stream in a replay. `handle` is made anew for each run, so that what it
    derives is the run's own."""

    stream: str
    handle: Callable[[Run], Handle]
    options: LaneOptions


@dataclass(frozen=True, slots=True)
class Host:
    """The worker process in which lanes run. `push_backs` counts how often its sink asked for less."""

    broker: Broker
    worker: str
    instance: str
    sources: Sequence[ReplaySource]
    live: LiveTraffic
    push_backs: Callable[[], int]
    crash_counter: CrashCounter | None


class RunLanes:
    """One run in this process, from when it is seen until it ends, or the process does."""

    def __init__(self, host: Host, run: Run, is_over: Callable[[str], bool]) -> None:
        self.run = run
        self._host = host
        self._is_over = is_over
        self._stop = asyncio.Event()
        self._pace = Pace()
        self._gate = Gate(self._pace, host.live, self._stop)
        self._outcomes = OutcomeLog(host.broker, host.worker, run.id)
        self._dead_letters = DeadLetters(
            host.broker,
            host.worker,
            headers={RUN: run.id},
            carried=origin.CARRIED if run.source in VIA_REPLAY else (),
        )
        self._brake = Brake(host.worker, "replay")
        self._handles: Mapping[str, Handle] = {source.stream: source.handle(run) for source in host.sources}
        self._at_work: list[Lane] = []
        self._reported = (0, host.push_backs())  # handled messages and push-backs, up to the last report

    def pause(self) -> None:
        """Begins nothing more until the operator allows it."""
        self._pace.grant(0.0)

    def stop(self) -> None:
        """Begins nothing more; `work` returns when what is in hand is settled."""
        self._stop.set()
        self._pace.close()

    async def work(self) -> None:
        """Replays until `stop`. Raises what a defect raises."""
        ranges = list(self._lanes())
        self._at_work = [lane for lane, _ in ranges]
        work = [self._run(lane, range) for lane, range in ranges]
        metrics.LANES.set(len(work))
        _log.info("replay_lanes_started", run=self.run.id, lanes=len(work), state=self.run.state)
        try:
            async with asyncio.TaskGroup() as group:
                for each in (*work, self._report()):
                    group.create_task(each)
        finally:
            self._brake.close()
            metrics.LANES.set(0)
            metrics.ALLOWED.set(0)
            _log.info("replay_lanes_stopped", run=self.run.id, handled=self._outcomes.handled)

    # -- lanes

    def _lanes(self) -> Iterator[tuple[Lane, Range | None]]:
        if self.run.source in VIA_REPLAY:
            intake = RedriveIntake(self.run.id, self._gate.ahead, self._is_over)
            yield (
                self._lane(origin.STREAM_NAME, self._host.worker, self._by_origin, self._host.sources[0], intake),
                None,
            )
            return
        sources = {source.stream: source for source in self._host.sources}
        for range in self.run.ranges:
            if (source := sources.get(range.stream)) is None or not range.consumer:
                _log.error("replay_range_unknown", run=self.run.id, stream=range.stream, consumer=range.consumer)
                continue
            handle = self._handles[range.stream]
            yield self._lane(range.stream, range.consumer, handle, source, RangeIntake(range, self._gate.ahead)), range

    def _lane(
        self, stream: str, consumer: str, handle: Handle, source: ReplaySource, intake: RangeIntake | RedriveIntake
    ) -> Lane:
        return Lane(
            self._host.broker,
            stream,
            consumer,
            self._gate.guard(handle),
            source.options,
            dead_letters=self._dead_letters,
            crash_counter=self._host.crash_counter,
            brake=self._brake,
            intake=intake,
            record=self._outcomes.record,
        )

    async def _run(self, lane: Lane, range: Range | None) -> None:
        if range is None or await self._is_there(range):
            await lane.run(self._stop, grace=GRACE)

    async def _is_there(self, range: Range) -> bool:
        """Whether the stream is still the one that was planned. Waits until it is known."""
        while not self._stop.is_set():
            try:
                epoch = (await self._host.broker.jetstream.stream_info(range.stream)).epoch
            except PenstockError as error:
                _log.warning("stream_info_failed", stream=range.stream, reason=error.detail)
                await set_within(self._stop, LOOK_AGAIN)
                continue
            if epoch == range.epoch:
                return True
            _log.error("replay_epoch_changed", run=self.run.id, stream=range.stream, planned=range.epoch, is_now=epoch)
            return False
        return False

    async def _by_origin(self, batch: list[Delivery]) -> list[Outcome]:
        """Hands the messages of a mixed batch to the handlers of the streams that they came from."""
        outcomes: list[Any] = [None] * len(batch)
        places: dict[str, list[int]] = {}
        for place, delivery in enumerate(batch):
            places.setdefault(origin.handled_as(delivery), []).append(place)
        for stream, members in places.items():
            if (handle := self._handles.get(stream)) is None:
                reason = f"the {self._host.worker} handles no messages of {stream}"
                found: Sequence[Outcome] = [Drop("REPLAY_UNSUPPORTED", reason)] * len(members)
            else:
                found = await handle([batch[place] for place in members])
            for place, outcome in zip(members, found, strict=True):
                outcomes[place] = outcome
        return outcomes

    # -- pace

    async def _report(self) -> None:
        while not self._stop.is_set():
            await self._ask()
            metrics.ALLOWED.set(self._pace.rate)
            await set_within(self._stop, progress.EVERY)

    async def _ask(self) -> None:
        host, (handled, push_backs) = self._host, self._reported
        await host.live.look()
        now = (self._outcomes.handled, host.push_backs())
        body = ReplayProgress(
            run=self.run.id,
            instance=host.instance,
            handled=now[0] - handled,
            live_pending=host.live.pending,
            live_behind=host.live.working_behind,
            live_busy=round(1 - host.live.idle, 3) if host.live.is_active else 0.0,
            push_back=max(now[1] - push_backs, 0) + sum([lane.braked for lane in self._at_work]),
        )
        try:
            allowance = await progress.report(host.broker, body)
        except Refused as error:
            self.pause()
            _log.warning("replay_progress_refused", run=self.run.id, reason=str(error))
        except PenstockError as error:
            _log.debug("replay_progress_failed", run=self.run.id, reason=str(error))
        else:
            self._reported = now
            if not self._stop.is_set():
                self._pace.grant(allowance.rate if allowance.state == "running" else 0.0, allowance.seconds)
