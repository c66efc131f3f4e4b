"""the live consumers of a target → how much waits for it and how fast it works."""

from __future__ import annotations

import asyncio
import time

from penstock.broker import Broker, ConsumerInfo
from penstock.contracts import Contracts

SMOOTHING = 0.3  # of each new reading of the speed


class Live:
    """The target's own traffic, read from the server, whatever the target says of itself."""

    def __init__(self, broker: Broker, contracts: Contracts, target: str) -> None:
        self._broker = broker
        self._consumers = [
            (name, member)
            for name, stream in contracts.streams.items()
            for consumer in stream.consumers
            if consumer == target and stream.retention == "limits"
            for member in stream.members(consumer)
        ]
        self._delivered = 0
        self._at = 0.0
        self.pending = 0
        self.per_second = 0.0

    async def look(self) -> None:
        """Reads all consumers. Raises Unavailable."""
        infos: list[ConsumerInfo] = await asyncio.gather(
            *(self._broker.jetstream.consumer_info(stream, consumer) for stream, consumer in self._consumers)
        )
        now, delivered = time.monotonic(), sum(info.delivered for info in infos)
        if self._at and now > self._at:
            speed = max(delivered - self._delivered, 0) / (now - self._at)
            self.per_second += SMOOTHING * (speed - self.per_second)
        self._at, self._delivered = now, delivered
        self.pending = sum(info.pending for info in infos)
