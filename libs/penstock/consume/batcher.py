"""deliveries → queue → the next batch: full, or as old as it may become."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from penstock.consume.delivery import Delivery
from penstock.consume.options import LaneOptions

WORTH_WAITING = 100  # messages that have to come within `linger_most`, if a batch is to wait that long


class Batcher:
    """The queue of one lane. `wake` is called when a batch may be ready."""

    def __init__(self, options: LaneOptions, wake: Callable[[], None]) -> None:
        self.bytes = 0  # queued
        self.linger = options.linger  # seconds that a batch waits at present, by how many messages came lately
        self._shortest = options.linger
        self._longest = max(options.linger_most, options.linger)
        self._most = options.batch
        self._most_bytes = options.bounds.batch_bytes
        self._wake = wake
        self._queue: deque[Delivery] = deque()
        self._due = False  # the first of the queue has waited long enough
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._queue)

    @property
    def ready(self) -> bool:
        """Whether there is a batch to handle now."""
        return bool(self._queue) and (self._due or self.full)

    def add(self, delivery: Delivery) -> None:
        """Queues a delivery."""
        queue = self._queue
        queue.append(delivery)
        self.bytes += len(delivery.data)
        if len(queue) == 1:
            self._start_linger()
        if len(queue) >= self._most or self.bytes >= self._most_bytes:
            self._wake()

    def next(self) -> list[Delivery]:
        """Takes the next batch off the queue."""
        queue, size = self._queue, 0
        batch: list[Delivery] = []
        while queue and len(batch) < self._most:
            length = len(queue[0].data)
            if batch and size + length > self._most_bytes:
                break
            size += length
            batch.append(queue.popleft())
        self.bytes -= size
        if queue:
            self._start_linger()
        return batch

    def close(self) -> None:
        """No timer runs any more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def full(self) -> bool:
        """Whether waiting would not make the next batch any larger."""
        return len(self._queue) >= self._most or self.bytes >= self._most_bytes

    def _start_linger(self) -> None:
        self._due = False
        if self._timer is not None:
            self._timer.cancel()
        if self.linger > 0:
            self._timer = asyncio.get_running_loop().call_later(self.linger, self._linger_over)
        else:
            self._linger_over()

    def _linger_over(self) -> None:
        self._due = True
        if self.linger > 0 and self._queue:
            within_longest = len(self._queue) * self._longest / self.linger
            self.linger = self._longest if within_longest >= WORTH_WAITING else self._shortest
        self._wake()
