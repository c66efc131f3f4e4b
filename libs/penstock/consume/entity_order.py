"""retried message → its entity is held: what comes later of the same entity waits until it is done.

For workers that need the messages of an entity in order. Delays are chosen so that what was held comes back behind
the message it waited for; the server delivers what is due at the same moment in the order of the stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from penstock.consume.delivery import Delivery
from penstock.consume.outcome import Retry

BEHIND = 0.01  # seconds after the held message
FORGOTTEN = 60.0  # seconds after it was due: another process has got it


class Holds:
    """The entities that are held. `by` names the entity of a delivery."""

    def __init__(self, by: Callable[[Delivery], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._by = by
        self._clock = clock
        self._held: dict[str, tuple[int, float]] = {}  # entity → sequence of the first message, when it is due

    def part(self, batch: list[Delivery]) -> tuple[list[Delivery], list[tuple[Delivery, Retry]]]:
        """What may be handled now, and what must come later."""
        if not self._held:
            return batch, []
        now = self._clock()
        ready: list[Delivery] = []
        later: list[tuple[Delivery, Retry]] = []
        for delivery in batch:
            entity = self._by(delivery)
            first, due = self._held.get(entity, (delivery.sequence, now))
            if now - due > FORGOTTEN:
                del self._held[entity]
                first = delivery.sequence
            if first == delivery.sequence:
                ready.append(delivery)
            else:
                later.append((delivery, Retry(max(due - now, 0.0) + BEHIND, "its entity is held")))
        return ready, later

    def hold(self, delivery: Delivery, after: float) -> None:
        """The delivery is retried after `after` seconds; its entity waits for it."""
        entity = self._by(delivery)
        first, _ = self._held.get(entity, (delivery.sequence, 0.0))
        if first == delivery.sequence:
            self._held[entity] = (first, self._clock() + after)

    def let_go(self, delivery: Delivery) -> None:
        """The delivery is settled for good."""
        entity = self._by(delivery)
        if self._held.get(entity, (0, 0.0))[0] == delivery.sequence:
            del self._held[entity]
