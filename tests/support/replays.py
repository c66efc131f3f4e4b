"""The operator's part of a replay, played by a test: the run's consumer, its document, and the allowance."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from penstock.broker import Broker, ConsumerInfo, Keys
from penstock.errors import PenstockError
from penstock.replay.outcomes import Kind, decode
from penstock.replay.run import BUCKET, NOTIFICATION, Holder, Range, Run, State, target_key
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import ReplayAllowance, ReplayProgress
from penstock.rpc.server import Responder, serve
from penstock.services.operator.replay import consumers
from tests.support.broker_rig import STREAM, Rig
from tests.support.until import until

SILENT = 3.0  # seconds without a report, after which an instance has no share of the rate
NOW = "2026-11-01T12:00:00Z"


class Replays:
    """Runs of one target. `rate` is that of all its replicas together; `answers` false: no operator leads."""

    def __init__(self, rig: Rig, target: str = "indexer") -> None:
        self.rate = 100_000.0
        self.answers = True
        self.reports: list[ReplayProgress] = []
        self._rig = rig
        self._target = target
        self._seen: dict[str, float] = {}
        self._run: Run | None = None
        self._slot = "b"

    async def open(self) -> Replays:
        """Serves svc.replay.progress."""
        self._operator: Broker = await self._rig.broker("operator")
        self._keys = Keys(self._operator, BUCKET)
        self._responder: Responder = await serve(self._operator, "replay", {"progress": self._progress})
        return self

    async def close(self) -> None:
        """Ends the run that there is, and serves no more."""
        if self._run is not None:
            await self.end("cancelled")
        await self._responder.stop()
        await self._operator.drain()

    async def apply(self, first: int, last: int, *, stream: str = STREAM, **members: Any) -> Run:
        """Starts a run over the sequences of a stream, with a new consumer."""
        self._slot = "a" if self._slot == "b" else "b"
        consumer = f"replay_{self._target}_{self._slot}"
        info = await self._rig.core.jetstream.stream_info(stream)
        range = Range(
            stream=stream,
            epoch=info.epoch,
            first=first,
            last=last,
            filters=tuple(info.config["subjects"]),
            planned=last - first + 1,
            consumer=consumer,
        )
        await self.make_consumer(range)
        return await self.start((range,), **members)

    async def start(self, ranges: tuple[Range, ...], **members: Any) -> Run:
        """Starts a run whose consumers are there."""
        name = f"r{time.time_ns()}"
        members = {"source": "events", "effect": "repair", "state": "running", **members}
        self._run = Run(id=name, plan="0" * 64, target=self._target, ranges=ranges, planned=1, rate=1, **members)
        await self._keys.put(target_key(self._target), Holder(name, self._slot).encode())
        await self._put(self._run)
        return self._run

    async def move(self, state: State) -> None:
        """Moves the run, as its document says."""
        assert self._run is not None
        self._run = self._run.move(state, at=NOW, by="test")
        await self._put(self._run)

    async def end(self, state: State = "done") -> None:
        """Ends the run, and removes its consumers."""
        assert self._run is not None
        run = self._run
        await self.move(state)
        await self._keys.put(target_key(self._target), Holder("", self._slot).encode())
        self._run = None
        for range in run.ranges:
            if range.consumer.startswith("replay_"):
                await consumers.close_pair(self._operator, range)

    async def reported(self, times: int) -> None:
        """Waits until so many more reports have come: half a second for each, where one replica is at work."""
        before = len(self.reports)
        await until(lambda: len(self.reports) >= before + times)

    async def outcomes(self, run: Run) -> dict[Kind, list[int]]:
        """The sequences of each outcome, as the operator counts them."""
        found: defaultdict[Kind, set[int]] = defaultdict(set)
        for message in await self._rig.stored("REPLAY_LOG", 1):
            if message.subject == f"replay_log.{self._target}.{run.id}":
                for kinds in decode(message.data).values():
                    for kind, sequences in kinds.items():
                        found[kind].update(sequences)
        return {kind: sorted(sequences) for kind, sequences in found.items()}

    async def complete(self, run: Run, bound: float = 30.0) -> dict[Kind, list[int]]:
        """Waits until every planned message has an outcome and nothing is in hand; the outcomes."""

        async def look() -> dict[Kind, list[int]] | None:
            outcomes = await self.outcomes(run)
            count = sum(map(len, outcomes.values()))
            infos = [await self.info(range) for range in run.ranges]
            planned = sum(range.planned for range in run.ranges)
            return outcomes if count >= planned and not any(info.ack_pending for info in infos) else None

        return await until(look, bound)

    async def info(self, range: Range) -> ConsumerInfo:
        """The state of the range's consumer."""
        return await self._rig.core.jetstream.consumer_info(range.stream, range.consumer)

    async def _put(self, run: Run) -> None:
        await self._keys.put(run.key, run.encode())
        self._operator.send(f"ctl.{NOTIFICATION}")

    async def make_consumer(self, range: Range) -> None:
        """Makes it anew, as the operator does for a run."""
        await consumers.close_pair(self._operator, range)
        await consumers.open_pair(self._operator, range, "of a test")

    async def _progress(self, request: dict[str, Any], caller: RequestCaller) -> dict[str, Any]:
        del caller
        report = ReplayProgress.model_validate(request)
        self.reports.append(report)
        now = time.monotonic()
        self._seen[report.instance] = now
        if not self.answers:
            raise PenstockError("INTERNAL", "nobody leads")
        share = self.rate / sum(now - seen < SILENT for seen in self._seen.values())
        run = self._run
        state = run.state if run is not None and run.id == report.run else "cancelled"
        return ReplayAllowance(state=state, rate=share if state == "running" else 0.0, seconds=3.0).to_json()
