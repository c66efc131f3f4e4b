"""Small workers that replay: pull what the run says, log outcomes, acknowledge, report; no sink behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from penstock.broker import Broker, Keys
from penstock.consume import ACK, Delivery, Puller, settle_bytes
from penstock.contracts.subjects import replay_log
from penstock.errors import PenstockError, Unavailable
from penstock.replay.outcomes import Kind, encode
from penstock.replay.pace import Pace
from penstock.replay.progress import report
from penstock.replay.run import BUCKET, Run, active_run
from penstock.rpc.messages import ReplayProgress

EVERY = 0.1  # seconds between reports; faster than a real worker, as tests wait for them
BATCH = 100


class BareReplica:
    """`async with BareReplica(...)`: one replica. `seen` are the (stream, sequence) that it handled of its run's
    ranges; `decide` says what became of one."""

    def __init__(
        self,
        broker: Broker,
        target: str,
        *,
        name: str = "one",
        decide: Callable[[Delivery], Kind] = lambda _: "confirmed",
    ) -> None:
        self.seen: list[tuple[str, int]] = []
        self.beyond = 0  # deliveries of live traffic behind the range
        self.live_behind = 0.0  # what it reports
        self.states: list[str] = []
        self._broker = broker
        self._target = target
        self._name = name
        self._decide = decide
        self._pace = Pace()
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._pullers: dict[tuple[str, str, str], Puller] = {}
        self._run: Run | None = None
        self._handled = 0

    async def __aenter__(self) -> BareReplica:
        self._tasks = [asyncio.create_task(each) for each in (self._follow(), self._work())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(puller.stop() for puller in self._pullers.values()))
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results

    async def _follow(self) -> None:
        keys = Keys(self._broker, BUCKET)
        while True:
            with suppress(PenstockError):
                self._run = await active_run(keys, self._target)
                await self._pull(self._run)
                if self._run is not None and self._run.state == "running":
                    await self._report(self._run)
            for puller in self._pullers.values():
                puller.check()
            await asyncio.sleep(EVERY)

    async def _report(self, run: Run) -> None:
        handled, self._handled = self._handled, 0
        answer = await report(
            self._broker,
            ReplayProgress(run=run.id, instance=self._name, handled=handled, live_behind=self.live_behind),
        )
        self.states.append(answer.state)
        self._pace.grant(answer.rate, answer.seconds)

    async def _pull(self, run: Run | None) -> None:
        wanted = (
            {(run.id, each.stream, each.consumer) for each in run.ranges} if run and run.state == "running" else set()
        )
        for key in self._pullers.keys() - wanted:
            await self._pullers.pop(key).stop()
        for key in wanted - self._pullers.keys():
            _, stream, consumer = key
            puller = Puller(self._broker, stream, consumer, self._queue.put_nowait, self._room, lambda: BATCH)
            self._pullers[key] = puller
            await puller.start()

    def _room(self) -> tuple[int, int]:
        return 4 * BATCH - self._queue.qsize(), 32 << 20

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            run = self._run
            if run is None or run.state != "running":
                continue  # comes again when the run goes on
            last = {part.stream: part.last for part in run.ranges}
            mine = [each for each in batch if each.sequence <= last[each.stream]]
            self.beyond += len(batch) - len(mine)
            await self._pace.take(len(mine))
            try:
                if mine:
                    await self._broker.publish(replay_log(self._target, run.id), encode(self._outcomes(mine)))
            except Unavailable:
                continue  # not acknowledged, so it comes again
            self.seen += [(each.stream, each.sequence) for each in mine]
            self._handled += len(mine)
            self._broker.write(settle_bytes([each.reply for each in batch], ACK))
            for puller in self._pullers.values():
                puller.refill()

    def _outcomes(self, batch: Sequence[Delivery]) -> dict[str, dict[Kind, list[int]]]:
        found: dict[str, dict[Kind, list[int]]] = {}
        for delivery in batch:
            found.setdefault(delivery.stream, {}).setdefault(self._decide(delivery), []).append(delivery.sequence)
        return found
