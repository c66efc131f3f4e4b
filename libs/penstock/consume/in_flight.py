"""The batches that are being handled: how much they hold, and since when."""

from __future__ import annotations

import time
from collections.abc import Iterator

from penstock.consume.delivery import Delivery

BUSY = 50  # messages in flight from which on a lane counts as busy


class InFlight:
    """A batch is in flight from the moment it leaves the queue until each of its messages is settled."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self._busy = 0.0  # seconds, up to the last moment at which it was no longer busy
        self._busy_since = 0.0
        self._batches: dict[int, tuple[float, list[Delivery]]] = {}

    def __iter__(self) -> Iterator[Delivery]:
        for _, batch in self._batches.values():
            yield from batch

    def take(self, batch: list[Delivery]) -> None:
        """The batch is handled from now on."""
        now, before = time.monotonic(), self.messages
        self.messages += len(batch)
        self.bytes += _size(batch)
        if before < BUSY <= self.messages:
            self._busy_since = now
        self._batches[id(batch)] = (now, batch)

    def release(self, batch: list[Delivery]) -> float:
        """The batch is settled; returns the seconds that it was in flight."""
        since, _ = self._batches.pop(id(batch))
        before = self.messages
        self.messages -= len(batch)
        self.bytes -= _size(batch)
        now = time.monotonic()
        if self.messages < BUSY <= before:
            self._busy += now - self._busy_since
        return now - since

    @property
    def busy_seconds(self) -> float:
        """For how long at least BUSY messages have been in flight so far, in all. Fewer wait for the sink, and not for
        this process: a batch of one may take as long as one of a thousand, and says nothing of the load."""
        return self._busy + (time.monotonic() - self._busy_since if self.messages >= BUSY else 0.0)

    def longest(self) -> float:
        """Seconds for which the oldest batch has been in flight; 0 when there is none."""
        return time.monotonic() - min((since for since, _ in self._batches.values()), default=time.monotonic())


def _size(batch: list[Delivery]) -> int:
    return sum([len(delivery.data) for delivery in batch])
