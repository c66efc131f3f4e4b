"""What the owner of a lane decides: sizes, waits and bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a lane may hold, and what it may put into one batch."""

    messages: int
    bytes: int = 32 * 1024 * 1024
    batch_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """How a lane collects batches and how much it works on at a time.

    A batch is handled when it has `batch` messages, or `linger` seconds after its first one. Under load the lane waits
    for `linger_most` seconds instead, where a store should be spared small batches; 0: never longer than `linger`.
    """

    batch: int = 500
    in_flight: int = 2  # batches handled at a time
    linger: float = 0.02
    linger_most: float = 0.0
    limits: Limits | None = None  # None: room for the batches in flight and two more
    after_failure: float = 5.0  # seconds of rest after a failure: of a message, or of the lane if nothing succeeds

    @property
    def bounds(self) -> Limits:
        """The limits that hold."""
        return self.limits or Limits(messages=self.batch * (self.in_flight + 2))
