"""What a lane takes of its consumer, where that is not everything."""

from __future__ import annotations

from typing import Protocol

from penstock.consume.delivery import Delivery


class Intake(Protocol):
    """Asked for each delivery, and before each pull."""

    def refuse(self, delivery: Delivery) -> bytes | None:
        """The verb that settles a delivery which is not to be handled; None when it is. May change the delivery."""

    def most(self) -> int:
        """Messages that the lane may hold now, within its own bounds."""
