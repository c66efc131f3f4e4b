"""messages of a page → REPLAY, in their order, each with its origin in its headers; after a failure the rest of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.broker import Broker
from penstock.replay import origin


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to send; stream, sequence, time, epoch and subject are those of the original."""

    stream: str
    sequence: int
    stored_at_ns: int
    epoch: int
    subject: str
    data: bytes
    headers: dict[str, str]


class PagePublisher:
    """Of one run. A page that failed must be given again before another."""

    def __init__(self, broker: Broker, run: str, target: str) -> None:
        self._broker = broker
        self._run = run
        self._target = target
        self._sent: dict[tuple[str, int], int] = {}  # of a page that could not be sent whole: where it is on REPLAY

    async def publish(self, page: Sequence[Outgoing]) -> int:
        """Returns when all of it is stored: the highest sequence on REPLAY, 0 for an empty page. Raises Unavailable
        when part of it is not; the same page again sends only that."""
        rest = [each for each in page if (each.stream, each.sequence) not in self._sent]
        results = await asyncio.gather(*(self._publish(each) for each in rest), return_exceptions=True)
        failures = []
        for each, result in zip(rest, results, strict=True):
            if isinstance(result, BaseException):
                failures.append(result)
            else:
                self._sent[each.stream, each.sequence] = result
        if failures:
            raise failures[0]
        highest = max(self._sent.values(), default=0)
        self._sent.clear()
        return highest

    async def _publish(self, each: Outgoing) -> int:
        headers = each.headers | origin.headers(
            self._run,
            stream=each.stream,
            sequence=each.sequence,
            stored_at_ns=each.stored_at_ns,
            epoch=each.epoch,
        )
        stored = await self._broker.publish(origin.subject(self._target, each.subject), each.data, headers)
        return stored.sequence
