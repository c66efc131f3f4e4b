"""bucket `replays` → the run of this worker → its lanes in this process, started, paused and ended as the run is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from pydantic import ValidationError

from penstock.broker import Keys
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.replay.run import BUCKET, ENDED, NOTIFICATION, Run, active_run, run_key
from penstock.replay.run_lanes import GRACE, Host, RunLanes
from penstock.stopping import first_set

_log = structlog.get_logger("penstock.replay.worker")

LOOK_SECONDS = 1.0  # between looks; a message on ctl.replays hurries the next
AFTER_DEFECT = 5.0  # seconds before the lanes of a run are started again that ended with an error
AT_WORK = ("running", "paused")


class ReplayWorker:
    """Follows the runs of one worker. Nothing that happens to a replay makes the process unready, or ends it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._keys = Keys(host.broker, BUCKET)
        self._lanes: RunLanes | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._over: set[str] = set()  # runs known to have ended
        self._asked: set[str] = set()  # runs of which messages came, and nobody knows yet whether they have ended

    async def follow(self, stop: asyncio.Event) -> None:
        """Replays what there is to replay, until `stop`."""
        look = asyncio.Event()
        subscription = await self._host.broker.subscribe(f"ctl.{NOTIFICATION}", lambda _: look.set())
        try:
            while not stop.is_set():
                look.clear()
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await first_set(stop, look)
        finally:
            await self._end()
            await subscription.stop()

    async def _look(self) -> None:
        """What was known last stays true while the bucket cannot be read."""
        try:
            run = await active_run(self._keys, self._host.worker)
            await self._learn_ended()
        except Unavailable:
            return
        except (PenstockError, ValidationError, ValueError, KeyError) as error:
            _log.error("replay_run_unreadable", worker=self._host.worker, reason=str(error)[:500])
            return
        await self._use(run if run is not None and run.state in AT_WORK else None)

    async def _use(self, run: Run | None) -> None:
        if self._task is not None and self._task.done():
            self._failed(self._task)
        if self._lanes is not None and (run is None or _place(run) != _place(self._lanes.run)):
            await self._end()
        if run is None:
            return
        if self._lanes is None:
            if asyncio.get_running_loop().time() < self._not_before:
                return
            self._asked.discard(run.id)
            self._lanes = RunLanes(self._host, run, self._is_over)
            self._task = asyncio.create_task(self._lanes.work(), name=f"replay {run.id}")
        if run.state == "paused":
            self._lanes.pause()

    async def _end(self) -> None:
        lanes, task = self._lanes, self._task
        self._lanes = self._task = None
        if lanes is None or task is None:
            return
        lanes.stop()
        await asyncio.wait([task], timeout=GRACE + 2.0)
        task.cancel()
        for result in await asyncio.gather(task, return_exceptions=True):
            if isinstance(result, Exception):
                _log.error("replay_lanes_failed", run=lanes.run.id, exc_info=result)

    def _failed(self, task: asyncio.Task[None]) -> None:
        _log.error("replay_lanes_failed", worker=self._host.worker, exc_info=task.exception())
        self._lanes = self._task = None
        self._not_before = asyncio.get_running_loop().time() + AFTER_DEFECT

    # -- messages of other runs on REPLAY

    def _is_over(self, run: str) -> bool:
        if run in self._over:
            return True
        self._asked.add(run)
        return False

    async def _learn_ended(self) -> None:
        for id in tuple(self._asked):
            try:
                run = Run.model_validate_json((await self._keys.get(run_key(id))).value)
            except Refused as error:
                if error.code != "NOT_FOUND":
                    raise
            else:
                if run.state not in ENDED:
                    continue
            self._over.add(id)
            self._asked.discard(id)


def _place(run: Run) -> tuple[str, tuple[str, ...]]:
    """What the lanes of a run depend on."""
    return run.id, tuple([range.consumer for range in run.ranges])
