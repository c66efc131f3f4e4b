"""Where the messages of a run come from: the source streams, or REPLAY, onto which the operator feeds them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from penstock.broker import Broker, ConsumerInfo
from penstock.contracts.topology import REPLAY_TAIL
from penstock.errors import Refused
from penstock.replay.ledger import Ledger
from penstock.replay.pace import Pace
from penstock.replay.run import Run
from penstock.rpc.messages import ReplayRange
from penstock.services.operator.replay import consumers

_log = structlog.get_logger("penstock.operator.replay")


@dataclass(frozen=True, slots=True)
class Supplied:
    """Of the planned messages: how many are not delivered yet and how many are in hand; `settled`: none will come
    any more. Not `counted`: how many there are is known only when all are fed, and the run is not done before.

    `why` says what holds the supply up. With `pace` the supply itself keeps the rate, as its target takes no part in
    that; `why` is then what holds the target up, and `instances` how many fetch."""

    left: int
    in_hand: int
    settled: bool
    counted: bool = True
    pace: Pace | None = None
    why: str = ""
    instances: int = 0


class Supply(Protocol):
    """Delivers the messages of one run to its target."""

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Prepares the delivery; the run's ranges, as its target needs them. May be called again."""
        ...

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """How far it is; twice a second while the run is under way. Feeds what there is to feed."""
        ...

    async def close(self, run: Run, ledger: Ledger) -> None:
        """The run has ended, and these are its outcomes. May be called again."""
        ...


Supplies = Mapping[str, Callable[[Run], Supply]]  # by source, or `subscriber`; streams where there is none


class Completion(Protocol):
    """What is left to do for runs of one effect once every message has an outcome."""

    async def complete(self, run: Run, ledger: Ledger) -> str | None:
        """Does it; why the run has failed, or nothing. None: it is under way, and this is called again."""
        ...

    def forget(self, run: str) -> None:
        """The run has ended, or another replica leads: what is under way ends."""
        ...


class FromStreams:
    """A fresh consumer on each source stream, and a tail that nobody pulls."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def start(self, run: Run, slot: str) -> tuple[ReplayRange, ...]:
        """Makes the pairs."""
        ranges = tuple(part.model_copy(update={"consumer": f"replay_{run.target}_{slot}"}) for part in run.ranges)
        for part in ranges:
            await consumers.open_pair(self._broker, part, run.id)
        return ranges

    async def look(self, run: Run, ledger: Ledger) -> Supplied:
        """From the consumers' own numbers."""
        del ledger
        pairs = await asyncio.gather(*(self._pair(run, part) for part in run.ranges))
        return Supplied(
            left=sum(max(main.pending - tail.pending, 0) for tail, main in pairs),
            in_hand=sum(main.ack_pending for _, main in pairs),
            settled=all(_settled(part, *pair) for part, pair in zip(run.ranges, pairs, strict=True)),
        )

    async def close(self, run: Run, ledger: Ledger) -> None:
        """Nothing: the pairs go when the run gives its target free."""
        del run, ledger

    async def _pair(self, run: Run, part: ReplayRange) -> tuple[ConsumerInfo, ConsumerInfo]:
        """The tail, read first, and the main consumer: what is left is then never too little. One that is gone is made
        again, and what was acknowledged to it is delivered once more, which changes no sum."""
        try:
            return await asyncio.gather(
                self._broker.jetstream.consumer_info(part.stream, part.consumer + REPLAY_TAIL),
                self._broker.jetstream.consumer_info(part.stream, part.consumer),
            )
        except Refused as error:
            if error.code != "NOT_FOUND":
                raise
        _log.warning("replay_consumer_gone", run=run.id, stream=part.stream, consumer=part.consumer)
        await consumers.open_pair(self._broker, part, run.id)
        return await self._pair(run, part)


def _settled(part: ReplayRange, tail: ConsumerInfo, main: ConsumerInfo) -> bool:
    """Whether everything of the range was delivered and acknowledged; what lies behind it may be in hand."""
    return main.pending <= tail.pending and (not main.ack_pending or main.ack_floor_stream_seq >= part.last)
