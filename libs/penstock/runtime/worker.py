"""settings → connection → lanes and requests → SIGTERM → what is in flight is finished → exit 0

A sink worker is one folder, services/<name>: `settings.py` with its own settings, `logic.py` with the handlers (batch →
one outcome for each message), and a `__main__.py` that puts them together:

    async def build(broker: Broker, settings: Settings) -> Parts:
        sink = Sink(settings)
        return Parts(
            sources=[
                Source(stream="EVENTS_HTTP", consumer="mirror", decode=checker.delivered, handle=sink.events),
                Source(stream="SCORES", consumer="mirror", decode=read_score, handle=sink.scores),
            ],
            unready_reason=lambda: sink.unready_reason,
            sinks=[sink.retry],
            on_stop=[sink.stop],
            close=sink.close,
        )

    main("mirror", build, load_settings())

`penstock.consume.SinkRetry` waits for a sink that is away; contracts/ has the identity `mirror` and its consumers. What
`main` adds: the connection, the lanes with their acks, retries and dead letters, /readyz and /metrics, and the stop. It
replays each source, too, where the contracts give the worker the consumers `replay_mirror` and the bucket `replays`.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
from contextlib import suppress
from typing import Any, Generic

import structlog

from penstock import gc_tuning
from penstock.auth.connect import connect_as
from penstock.broker import Broker
from penstock.consume import Brake, CrashCounter, DeadLetters, Lane
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.replay.live_traffic import LiveTraffic
from penstock.replay.run import BUCKET
from penstock.replay.run_lanes import Host
from penstock.replay.worker import ReplayWorker
from penstock.rpc.server import Responder, serve
from penstock.runtime.handling import make_lane
from penstock.runtime.health import Health
from penstock.runtime.parts import Build, Parts, S, Source
from penstock.runtime.replaying import replay_sources
from penstock.runtime.reporting import Reporter, may_report
from penstock.stopping import first_set
from penstock.telemetry import configure_logging, traces

_log = structlog.get_logger("penstock.runtime.worker")

STOP_SECONDS = 6.0  # for batches in flight; with the rest of the way out it stays under ten


def main(name: str, build: Build[S], settings: S) -> None:
    """Runs the worker `name` (its identity, its port) until SIGTERM; ends the process."""
    configure_logging(settings.log_level, name)
    try:
        traces.start(name, settings)
    except PenstockError as error:
        _log.error("worker_failed", reason=str(error))
        sys.exit(1)
    sys.exit(asyncio.run(Worker(name, build, settings).run()))


class Worker(Generic[S]):
    """One process. `run` returns its exit code: 0 after SIGTERM, 1 when something it cannot work without is gone."""

    def __init__(self, name: str, build: Build[S], settings: S) -> None:
        self.stop = asyncio.Event()
        self._name = name
        self._build = build
        self._settings = settings
        self._broker: Broker | None = None
        self._parts: Parts | None = None
        self._dead_letters: DeadLetters | None = None
        self._lanes: list[Lane] = []
        self._live = LiveTraffic(self._lanes)
        self._brake = Brake(name)
        self._instance = f"{platform.node()}-{os.getpid()}"[-64:]
        port = settings.port or settings.local_port(name, settings.instance)
        self._health = Health(settings.host, port, self.unready_reasons, self.notes)

    async def run(self) -> int:
        """Starts, works, stops."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        try:
            await self._health.start()
            broker = await self._connect()
            if broker is None:
                return 0
            self._parts = await self._build(broker, self._settings)
            gc_tuning.freeze_live_objects()
            return await self._work(broker, self._parts)
        except (PenstockError, OSError) as error:
            _log.error("worker_failed", reason=str(error))
            return 1
        finally:
            await self._close()

    def unready_reasons(self) -> list[str]:
        """Why this process is not ready; empty when it is."""
        if self._broker is None or not self._broker.connected:
            return ["no connection to the broker"]
        if self._parts is None:
            return ["starting"]
        if self.stop.is_set():
            return ["stopping"]
        reasons = [self._parts.unready_reason(), *[lane.unready_reason() for lane in self._lanes]]
        reasons += [sink.unready_reason() for sink in self._parts.sinks]
        reasons += [reason for watch in self._parts.watches for reason in watch.reasons]
        return list(dict.fromkeys([reason for reason in reasons if reason]))  # the brake is the same for every lane

    def notes(self) -> list[str]:
        """What an operator should know although this process is ready."""
        if self._parts is None:
            return []
        notes = [self._parts.note(), *[note for watch in self._parts.watches for note in watch.notes]]
        if self._dead_letters is not None:
            notes.append(self._dead_letters.note())
        return [note for note in notes if note]

    async def _connect(self) -> Broker | None:
        """The connection, or None when stopped before there was one."""
        settings = self._settings
        connecting = asyncio.create_task(connect_as(self._name, settings))
        stopped = asyncio.create_task(self.stop.wait())
        await asyncio.wait([connecting, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not connecting.done():
            connecting.cancel()
            with suppress(asyncio.CancelledError, PenstockError):
                await connecting
            return None
        self._broker = connecting.result()
        return self._broker

    async def _work(self, broker: Broker, parts: Parts) -> int:
        dead_letters = self._dead_letters = DeadLetters(broker, self._name)
        crash_counter = CrashCounter(self._settings.state / "attempts" / self._name)
        responder: Responder | None = None
        if parts.operations:
            responder = await serve(broker, parts.service, parts.operations, concurrency=parts.concurrency)

        async def consume(source: Source[Any]) -> None:
            if parts.may_consume is None or await self._before_stop(parts.may_consume):
                lane = make_lane(broker, source, dead_letters, crash_counter, self._brake)
                self._lanes.append(lane)
                await lane.run(self.stop, grace=STOP_SECONDS)

        async def replay(worker: ReplayWorker) -> None:
            if parts.may_consume is None or await self._before_stop(parts.may_consume):
                await worker.follow(self.stop)

        tasks = [asyncio.create_task(consume(source)) for source in parts.sources]
        if (replays := self._replays(broker, parts, crash_counter)) is not None:
            tasks.append(asyncio.create_task(replay(replays), name="replays"))
        if may_report(load().identities.get(self._name)):
            reporter = Reporter(broker, self._instance, self._brake, self._live, self.unready_reasons, self.notes)
            tasks.append(asyncio.create_task(reporter.run(self.stop), name="reports"))
        tasks += [asyncio.ensure_future(task(self.stop)) for task in parts.background]
        tasks += [asyncio.create_task(watch.run(self.stop), name=watch.name) for watch in parts.watches]
        ends = [asyncio.create_task(self.stop.wait()), asyncio.create_task(broker.closed.wait())]
        _log.info("worker_started", lanes=len(parts.sources), service=parts.service)
        try:
            await asyncio.wait([*tasks, *ends], return_when=asyncio.FIRST_COMPLETED)
            failed = next((task for task in tasks if task.done() and not self.stop.is_set()), None)
            if failed is not None:
                _log.critical("worker_part_ended", part=failed.get_name(), exc_info=failed.exception())
            elif broker.closed.is_set():
                _log.critical("broker_closed")
            code = 0 if self.stop.is_set() else 1
        finally:
            self.stop.set()
            for callback in parts.on_stop:
                callback()
            for end in ends:
                end.cancel()
            if responder is not None:
                await responder.stop()
            if tasks:
                await asyncio.wait(tasks, timeout=STOP_SECONDS + 2.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *ends, return_exceptions=True)
        return code

    async def _before_stop(self, event: asyncio.Event) -> bool:
        """Waits for the event; false when told to stop first."""
        await first_set(event, self.stop)
        return not self.stop.is_set()

    def _replays(self, broker: Broker, parts: Parts, crash_counter: CrashCounter) -> ReplayWorker | None:
        """What follows the replays of this worker, where it may have any."""
        identity = load().identities.get(self._name)
        if identity is None or BUCKET not in identity.reads_buckets or not parts.sources:
            return None
        host = Host(
            broker=broker,
            worker=self._name,
            instance=self._instance,
            sources=replay_sources(broker, parts.sources),
            live=self._live,
            push_backs=parts.push_backs,
            crash_counter=crash_counter,
        )
        return ReplayWorker(host)

    async def _close(self) -> None:
        if self._parts is not None and self._parts.close is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._parts.close()
        if self._broker is not None:
            await self._broker.drain(1.0)
        await asyncio.gather(self._health.stop(), traces.stop())
        _log.info("worker_stopped")
